"""The bottom-up path of a hierarchical encoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class BottomUp(nn.Module):
    """x -> the features of every latent level, flat and concatenated, lowest level first: `[N, out]`.

    Args:
        network: The encoder's network, whose output is the features of the lowest level.
        steps: One module for each further level, which maps the features of the level below to its own.
        out: Total number of features.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from vaekit.networks.bottom_up import BottomUp
        >>> BottomUp(nn.Linear(5, 4), [nn.Linear(4, 2), nn.Linear(2, 1)], out=7)(torch.zeros(3, 5)).shape
        torch.Size([3, 7])
    """

    def __init__(self, network: Any, steps: Sequence[nn.Module], out: int):
        super().__init__()
        self.network, self.steps, self.out_shape = network, nn.ModuleList(steps), (out,)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.network(x)]
        for step in self.steps:
            features.append(step(features[-1]))
        return torch.cat([each.flatten(1) for each in features], 1)
