"""Maps: what images, sounds and levels of games share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.spaces.space import Space

BEYOND = 0.5  # how far below 0 or above 1 the means of a Gaussian may lie; images in [-1, 1] are not scaled


@dataclass(frozen=True)
class Maps(Space):
    """Arrays of shape (channels, height, width), values in [0, 1]. The channels of a position are missing together.

    levels: number of levels L, or None if the values are continuous. Discrete values are k / (L - 1).
    dequantized: True if uniform noise was added, (k + u) / L, which makes them continuous.
    """

    levels: int | None = None
    dequantized: bool = False

    @property
    def values(self) -> str:
        if self.dequantized or self.levels is None:
            return "unit"
        return "binary" if self.levels == 2 else "discrete"

    @property
    def places(self) -> tuple[int, ...]:
        return self.shape[1:]

    def spread(self, each: Tensor) -> Tensor:
        return each.unsqueeze(-3).expand(*each.shape[:-2], *self.shape)

    def bits_per_dim(self, nll: Tensor | float) -> Tensor | float | None:
        """Bits per dimension of the discrete image.

        A density of dequantised images gives a bound on the discrete probability: -log P(k) <= -E log p((k + u) / L)
        + log L per dimension (Theis et al. 2016, https://arxiv.org/abs/1511.01844, section 3.1).
        """
        if self.levels is None:
            return None
        nats = nll / self.size + (math.log(self.levels) if self.dequantized else 0.0)
        return nats / math.log(2)

    def from_user(self, x: Tensor) -> Tensor:
        """Bytes are gray levels 0 to 255, over 255; of black and white images also 0 and 1."""
        black_or_white = self.levels == 2 and x.numel() and x.max() <= 1
        return x / 255 if x.dtype == torch.uint8 and not black_or_white else x

    def check_readable(self, x: Tensor) -> None:
        super().check_readable(x)
        self._check_range(x, BEYOND)

    def check(self, x: Tensor) -> None:
        super().check(x)
        if x.numel() == 0:
            return
        self._check_range(x)
        if self.levels is not None and not self.dequantized:
            grid = x * (self.levels - 1)
            if (grid - grid.round()).abs().max() > 1e-3:
                fix = "binarise them (data.binarize=dynamic)" if self.values == "binary" else "round them to the grid"
                raise Refusal(f"Got values between the {self.levels} levels that this model scores; {fix}.")

    def _check_range(self, x: Tensor, beyond: float = 0.0) -> None:
        if x.numel() and (x.min() < -beyond or x.max() > 1 + beyond):
            largest = "255" if x.min() >= 0 and x.max() <= 255 else "the largest value"
            how = f"divide by {largest}" if x.min() >= 0 else "move and scale them"
            raise Refusal(f"Got values from {x.min():.4g} to {x.max():.4g}, expected 0 to 1; {how}.")
