"""Triangular matrices: what each value is told by those before it, in the order in which they lie in memory.

Cite: Mathieu Germain et al. MADE: Masked Autoencoder for Distribution Estimation. In ICML 2015.
    https://arxiv.org/abs/1502.03509
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Triangular(nn.Module):
    """x `[..., D]` -> `[..., D]`, each number of those before it; with diagonal=0 rather than -1 of its own as well."""

    def __init__(self, size: int, diagonal: int):
        super().__init__()
        self.diagonal = diagonal
        self.weight = nn.Parameter(0.1 * torch.randn(size, size) / size**0.5)  # almost nothing

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.tril(self.diagonal))

    def at(self, i: int, x: Tensor) -> Tensor:
        """The i-th number, `[...]`."""
        seen = slice(i + 1 + self.diagonal)
        return x[..., seen] @ self.weight[i, seen]


class MADE(nn.Module):
    """Values x `[..., D]` in {0, 1} and told, 1 + `layers` tensors `[..., D]` -> logits `[..., D]`.

    A value's logit is of all values before it and of what is told of it and of those before. A hidden layer has a unit
    a value, which is told a number; the last number is added to the logit, which to begin with is little else. x may
    have fewer dimensions than what is told: many draws of z for one x.
    """

    hidden: Any  # of `Triangular`

    def __init__(self, size: int, layers: int):
        super().__init__()
        self.layers = layers
        self.first = Triangular(size, -1)
        self.hidden = nn.ModuleList(Triangular(size, 0) for _ in range(layers))
        self.direct = Triangular(size, -1)

    def forward(self, x: Tensor, told: list[Tensor]) -> Tensor:
        h, (*numbers, logits) = self.first(x), told
        for number, layer in zip(numbers, self.hidden, strict=True):
            h = layer(functional.silu(h + number))
        return h + self.direct(x) + logits

    def at(self, i: int, x: Tensor, told: list[Tensor], units: Tensor) -> Tensor:
        """The i-th logit, `[N]`, after the values before it; units `[layers, N, D]` hold what was found on the way."""
        h, (*numbers, logits) = self.first.at(i, x), told
        for number, layer, here in zip(numbers, self.hidden, units, strict=True):
            here[:, i] = functional.silu(h + number[:, i])
            h = layer.at(i, here)
        return h + self.direct.at(i, x) + logits[:, i]
