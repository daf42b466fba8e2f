"""The base class of spaces."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.refusal import Refusal


@dataclass(frozen=True)
class Space:
    """Arrays of one shape, and the kind of their values. The defaults are those of real numbers.

    A cell is what can be missing independently: a value, a pixel with its channels, or a cell of a table, which one or
    several numbers represent.

    Args:
        shape: The shape of a point.

    Example:
        >>> from vaekit.spaces import Real
        >>> Real((2, 3)).size
        6
    """

    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of dimensions."""
        return math.prod(self.shape)

    @property
    def description(self) -> str:
        """A few words for tables and messages, e.g. `Image 1x28x28, discrete, 256 levels`."""
        words = f"{type(self).__name__} {'x'.join(map(str, self.shape))}, {self.values}"
        return f"{words}, {self.bins} levels" if self.values == "discrete" and self.bins else words

    @property
    def values(self) -> str:
        """What a likelihood must score: `binary`, `discrete`, `unit` (real, in [0, 1]), `continuous`, `table`, ..."""
        return "continuous"

    @property
    def bins(self) -> int | None:
        """Number L of evenly spaced values k / (L - 1) in [0, 1], such as gray values; None if there are none."""
        return None

    @property
    def dequantized(self) -> bool:
        """Whether uniform noise was added to discrete values, which makes them continuous."""
        return False

    @property
    def incomplete(self) -> bool:
        """Whether values may be missing, as far as known before reading the data."""
        return False

    @property
    def modalities(self) -> int:
        """Number of modalities of an example, each of which may be missing."""
        return 1

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """The shape of an array with one entry per cell."""
        return self.shape

    def per_value(self, each: Tensor) -> Tensor:
        """Repeat an entry of each cell, `[..., *cell_shape]`, for each value of the cell, `[..., *shape]`."""
        return each

    def per_cell(self, each: Tensor) -> Tensor:
        """The first value of each cell, `[..., *cell_shape]`, of values `[..., *shape]`."""
        return each

    def whole_cells(self, mask: Tensor) -> Tensor:
        """A mask `[..., *shape]` in which each cell has the value of its first entry."""
        return mask

    def observed(self, x: Tensor) -> Tensor | None:
        """A mask of the observed values of x `[..., *shape]`, if x encodes them; None if all are observed."""
        return None

    @property
    def indicators(self) -> Tensor:
        """Which values indicate that others are missing, `[*shape]`."""
        return torch.zeros(self.shape, dtype=torch.bool)

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """The points at times t `[T]` of the line from a to b, both `[..., *shape]`: `[T, ..., *shape]`."""
        return torch.lerp(a.unsqueeze(0), b.unsqueeze(0), t.reshape(-1, *[1] * a.dim()).to(a))

    def bits_per_dim(self, nll: Tensor | float) -> Tensor | float | None:
        """Bits per dimension of `nll` nats per example; None for continuous values, which have no lossless code."""
        return None

    def from_user(self, x: Tensor) -> Tensor:
        """Converts values that callers pass, e.g. bytes, to values of the space."""
        return x

    def check_readable(self, x: Tensor) -> None:
        """Raise `Refusal` unless networks can read x `[..., *shape]`, which includes means of likelihoods."""
        if x.shape[x.dim() - len(self.shape) :] != self.shape:
            raise Refusal(f"Got an array of shape {list(x.shape)}, expected [..., {', '.join(map(str, self.shape))}].")
        if not torch.isfinite(x).all():
            raise Refusal("Got NaN or infinite values, expected finite ones; mask or drop those rows.")

    def check(self, x: Tensor) -> None:
        """Raise `Refusal` unless x is `[..., *shape]` with values of this space, which likelihoods can score."""
        self.check_readable(x)
