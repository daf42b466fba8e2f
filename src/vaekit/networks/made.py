"""Masked matrices: what each value is told by those before it, in the order in which they lie in memory.

References:
    Mathieu Germain et al. MADE: Masked Autoencoder for Distribution Estimation. In ICML 2015.
        https://arxiv.org/abs/1502.03509
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def before(shape: tuple[int, ...], reach: int | None = None) -> Tensor:
    """Which values each of `shape` may see, `[D, D]`: those before it.

    reach: of maps `[C, H, W]`, in all channels, those of them that are no more than so many rows and columns away.
    """
    size = torch.Size(shape).numel()
    seen = torch.ones(size, size, dtype=torch.bool).tril(-1)
    if reach is None:
        return seen
    places = torch.cartesian_prod(*(torch.arange(n) for n in shape))[:, 1:]
    return seen & ((places.unsqueeze(1) - places).abs().amax(-1) <= reach)


class Masked(nn.Module):
    """x `[..., D]` -> `[..., D]`, each number of those that the mask `[D, D]` lets it see."""

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(0.1 * torch.randn(mask.shape) / len(mask) ** 0.5)  # almost nothing

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.mask)

    def at(self, i: int, x: Tensor) -> Tensor:
        """The i-th number, `[...]`."""
        return x @ (self.weight[i] * self.mask[i])


class MADE(nn.Module):
    """Values x `[..., D]` in {0, 1} and told, 1 + `layers` tensors `[..., D]` -> logits `[..., D]`.

    seen: which values, all before it, a value sees, `[D, D]`. A hidden layer has a unit a value, which is told a number
    and sees units as values see values; the last number is added to the logit, which to begin with is little else.
    x may have fewer dimensions than what is told: many draws of z for one x.
    """

    hidden: Any  # of `Masked`

    def __init__(self, seen: Tensor, layers: int):
        super().__init__()
        self.layers = layers
        self.first, self.direct = Masked(seen), Masked(seen)
        self.hidden = nn.ModuleList(Masked(seen | torch.eye(len(seen), dtype=torch.bool)) for _ in range(layers))

    def forward(self, x: Tensor, told: list[Tensor]) -> Tensor:
        x = 2 * x - 1
        h, (*numbers, logits) = self.first(x), told
        for number, layer in zip(numbers, self.hidden, strict=True):
            h = layer(functional.silu(h + number))
        return h + self.direct(x) + logits

    def at(self, i: int, x: Tensor, told: list[Tensor], units: Tensor) -> Tensor:
        """The i-th logit, `[N]`, after the values before it; units `[layers, N, D]` hold what was found on the way."""
        x = 2 * x - 1
        h, (*numbers, logits) = self.first.at(i, x), told
        for number, layer, here in zip(numbers, self.hidden, units, strict=True):
            here[:, i] = functional.silu(h + number[:, i])
            h = layer.at(i, here)
        return h + self.direct.at(i, x) + logits[:, i]
