"""Features in steps, each of what is below it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class BottomUp(nn.Module):
    """x -> what `network` makes of it, and what each step makes of those before, flat and one behind the other.

    out: how many numbers that is, `[N, out]`.
    """

    def __init__(self, network: Any, steps: Sequence[nn.Module], out: int):
        super().__init__()
        self.network, self.steps, self.out_shape = network, nn.ModuleList(steps), (out,)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.network(x)]
        for step in self.steps:
            features.append(step(features[-1]))
        return torch.cat([each.flatten(1) for each in features], 1)
