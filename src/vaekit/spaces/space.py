"""What every space is derived from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.refusal import Refusal


@dataclass(frozen=True)
class Space:
    """Arrays of `shape`, and what their values are. A subclass states what differs from real numbers."""

    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of dimensions."""
        return math.prod(self.shape)

    @property
    def values(self) -> str:
        """`binary`, `discrete`, `unit` (real, in [0, 1]), `continuous` or `table`: what a likelihood must score."""
        return "continuous"

    @property
    def levels(self) -> int | None:
        """Number of evenly spaced values L from 0 to 1, k / (L - 1), e.g. gray levels; None where there are none."""
        return None

    @property
    def dequantized(self) -> bool:
        """Whether uniform noise was added to the levels, which makes them continuous."""
        return False

    @property
    def incomplete(self) -> bool:
        """Whether values of examples may be missing, as far as is known before they are read."""
        return False

    @property
    def modalities(self) -> int:
        """How many kinds of data an example is made of, each of which may be missing altogether."""
        return 1

    @property
    def places(self) -> tuple[int, ...]:
        """What can be missing by itself, as a shape: a value, a pixel, a cell of a table."""
        return self.shape

    def spread(self, each: Tensor) -> Tensor:
        """What is said of each place, `[..., *places]`, of each of its values, `[..., *shape]`."""
        return each

    def cells(self, each: Tensor) -> Tensor:
        """What is said of each value, `[..., *shape]`, of what counts as one; of a cell of a table by its first."""
        return each

    def together(self, mask: Tensor) -> Tensor:
        """A mask of values `[..., *shape]`, extended to those that are never missing, but say that others are."""
        return mask

    def known(self, x: Tensor) -> Tensor | None:
        """A mask of the values of x `[..., *shape]` that are known, where x itself says so; None for all of them."""
        return None

    @property
    def indicators(self) -> Tensor:
        """Which values say that others are missing, `[*shape]`."""
        return torch.zeros(self.shape, dtype=torch.bool)

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """The points at times `t` `[T]` of the straight line from `a` to `b` (`[..., *shape]`): `[T, ..., *shape]`."""
        return torch.lerp(a.unsqueeze(0), b.unsqueeze(0), t.reshape(-1, *[1] * a.dim()).to(a))

    def bits_per_dim(self, nll: Tensor | float) -> Tensor | float | None:
        """Bits per dimension of `nll` nats an example; None where values are not countable, so that no code exists."""
        return None

    def from_user(self, x: Tensor) -> Tensor:
        """Values as people have them, as values of this space."""
        return x

    def check_readable(self, x: Tensor) -> None:
        """Raise `Refusal` unless networks can read `x` `[..., *shape]`: the means of a likelihood among others."""
        if x.shape[x.dim() - len(self.shape) :] != self.shape:
            raise Refusal(f"Got an array of shape {list(x.shape)}, expected [..., {', '.join(map(str, self.shape))}].")
        if not torch.isfinite(x).all():
            raise Refusal("Got NaN or infinite values, expected finite ones; mask or drop those rows.")

    def check(self, x: Tensor) -> None:
        """Raise `Refusal` unless `x` is `[..., *shape]` with values of this space, which likelihoods can score."""
        self.check_readable(x)
