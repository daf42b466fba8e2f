"""A network's input beside its features."""

from typing import Any

import torch
from torch import Tensor, nn

from vaekit.spaces import Space


class ConcatInput(nn.Module):
    """x `[N, *space.shape]` -> what `network` makes of it, flat, and x itself behind: `[N, features + space.size]`."""

    def __init__(self, network: Any, space: Space):
        super().__init__()
        self.network = network
        self.out_shape = (torch.Size(network.out_shape).numel() + space.size,)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.network(x).flatten(1), x.flatten(1)], 1)
