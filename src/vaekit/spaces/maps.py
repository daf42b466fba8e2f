"""Arrays of channels: the base class of images, sounds and maps of games."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.spaces.space import Space

MARGIN = 0.5  # how far outside [0, 1] the means of a Gaussian may be; rejects images in [-1, 1]


@dataclass(frozen=True)
class Maps(Space):
    """Arrays of shape (channels, height, width), with values in [0, 1]. The channels of a pixel are missing together.

    Args:
        shape: (channels, height, width).
        bins: Number L of evenly spaced values k / (L - 1); None if values are continuous.
        dequantized: Whether uniform noise u was added, (k + u) / L, which makes values continuous.

    Example:
        >>> from vaekit.spaces.maps import Maps
        >>> Maps((3, 8, 8)).cell_shape
        (8, 8)
    """

    bins: int | None = None
    dequantized: bool = False

    @property
    def values(self) -> str:
        if self.dequantized or self.bins is None:
            return "unit"
        return "binary" if self.bins == 2 else "discrete"

    @property
    def cell_shape(self) -> tuple[int, ...]:
        return self.shape[1:]

    def per_value(self, each: Tensor) -> Tensor:
        return each.unsqueeze(-3).expand(*each.shape[:-2], *self.shape)

    def bits_per_dim(self, nll: Tensor | float) -> Tensor | float | None:
        """Bits per dimension of the discrete map.

        The density of dequantized maps gives a bound on the discrete probability: -log P(k) <= -E log p((k + u) / L) +
        log L per dimension (Theis et al. 2016, https://arxiv.org/abs/1511.01844, section 3.1).
        """
        if self.bins is None:
            return None
        nats = nll / self.size + (math.log(self.bins) if self.dequantized else 0.0)
        return nats / math.log(2)

    def from_user(self, x: Tensor) -> Tensor:
        """Bytes are gray values 0 to 255; those of binary images may also be 0 and 1."""
        black_or_white = self.bins == 2 and x.numel() and x.max() <= 1
        return x / 255 if x.dtype == torch.uint8 and not black_or_white else x

    def check_readable(self, x: Tensor) -> None:
        super().check_readable(x)
        self._check_range(x, MARGIN)

    def check(self, x: Tensor) -> None:
        super().check(x)
        if x.numel() == 0:
            return
        self._check_range(x)
        if self.bins is not None and not self.dequantized:
            grid = x * (self.bins - 1)
            if (grid - grid.round()).abs().max() > 1e-3:
                fix = "binarize them (data.binarize=dynamic)" if self.values == "binary" else "round them to the grid"
                raise Refusal(f"Got values between the {self.bins} gray values that this model scores; {fix}.")

    def _check_range(self, x: Tensor, margin: float = 0.0) -> None:
        if x.numel() and (x.min() < -margin or x.max() > 1 + margin):
            white = "255" if 127 < x.max() <= 255 else "the value of white"  # fewer gray values are a coarser scale
            how = f"divide by {white}" if x.min() >= 0 else "move and scale them"
            raise Refusal(f"Got values from {x.min():.4g} to {x.max():.4g}, expected 0 to 1; {how}.")
