"""Features with the network's input appended."""

from typing import Any

import torch
from torch import Tensor, nn

from vaekit.spaces import Space


class ConcatInput(nn.Module):
    """x `[N, *space.shape]` -> the flat features of `network` followed by x, `[N, features + space.size]`.

    Args:
        network: An encoder's network with an `out_shape`.
        space: The space of x.

    Example:
        >>> import torch
        >>> from vaekit.networks.concat_input import ConcatInput
        >>> from vaekit.networks.mlp import Encoder
        >>> from vaekit.spaces import Real
        >>> ConcatInput(Encoder(Real((5,)), hidden=[4]), Real((5,))).out_shape
        (9,)
    """

    def __init__(self, network: Any, space: Space):
        super().__init__()
        self.network = network
        self.out_shape = (torch.Size(network.out_shape).numel() + space.size,)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.network(x).flatten(1), x.flatten(1)], 1)
