"""The two spaces of a VAE: where x lives and where z lives.

A space knows its shape, which values it holds, and a path between two points. Parts are checked by comparing
spaces, never by watching tensors broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from vaekit import poincare
from vaekit.columns import GROUPS, Column
from vaekit.refusal import Refusal


@dataclass(frozen=True)
class Real:
    """Real vectors or arrays of `shape`: latent variables, or rows of continuous measurements."""

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
    def places(self) -> tuple[int, ...]:
        """What can be missing by itself, as a shape: a value, a pixel, a cell of a table."""
        return self.shape

    def spread(self, each: Tensor) -> Tensor:
        """What is said of each place, `[..., *places]`, of each of its values, `[..., *shape]`."""
        return each

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """The points at times `t` `[T]` of the straight line from `a` to `b` (`[..., *shape]`): `[T, ..., *shape]`."""
        return torch.lerp(a.unsqueeze(0), b.unsqueeze(0), t.reshape(-1, *[1] * a.dim()).to(a))

    def bits_per_dim(self, nll: Tensor | float) -> Tensor | float | None:
        """Bits per dimension of `nll` nats an example; None where values are not countable, so that no code exists."""
        return None

    def check(self, x: Tensor) -> None:
        """Raise `Refusal` unless `x` is `[..., *shape]` with values of this space."""
        if x.shape[x.dim() - len(self.shape) :] != self.shape:
            raise Refusal(f"Got an array of shape {list(x.shape)}, expected [..., {', '.join(map(str, self.shape))}].")
        if not torch.isfinite(x).all():
            raise Refusal("Got NaN or infinite values, expected finite ones; mask or drop those rows.")


@dataclass(frozen=True)
class Image(Real):
    """Images of shape (channels, height, width), values in [0, 1].

    levels: number of grey levels L, or None if the values are continuous. Discrete images hold k / (L - 1).
    dequantized: True if uniform noise was added, (k + u) / L, which makes them continuous.
    """

    levels: int | None = 256
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

    def check(self, x: Tensor) -> None:
        super().check(x)
        if x.numel() == 0:
            return
        if x.min() < 0 or x.max() > 1:
            found = f"{x.min():.4g} to {x.max():.4g}"
            raise Refusal(f"Got values from {found}, expected 0 to 1; divide by the largest value.")
        if self.levels is not None and not self.dequantized:
            grid = x * (self.levels - 1)
            if (grid - grid.round()).abs().max() > 1e-3:
                fix = "binarise them (data.binarize=dynamic)" if self.values == "binary" else "round them to the grid"
                raise Refusal(f"Got values between the {self.levels} levels that this model scores; {fix}.")


@dataclass(frozen=True)
class Table(Real):
    """Rows of a table, shape (numbers,): numeric columns, counts, binary ones, then a one-hot block for each other.

    columns: in the file's order (`Column` says what its numbers are). A missing cell is 0 everywhere.
    """

    columns: Sequence[Column] = ()

    def __post_init__(self) -> None:
        columns = (each if isinstance(each, Column) else Column(**each) for each in self.columns)
        object.__setattr__(self, "columns", tuple(columns))
        if self.shape != (sum(column.width for column in self.columns),) or self.shape == (0,):
            raise ValueError(f"columns of {sum(column.width for column in self.columns)} numbers, shape {self.shape}")

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Table:
        """The space of rows of these columns."""
        return cls((sum(column.width for column in columns),), columns)

    @property
    def values(self) -> str:
        return "table"

    @cached_property
    def ordered(self) -> list[Column]:
        """The columns in the order of their numbers."""
        return sorted(self.columns, key=lambda column: GROUPS.index(column.group))

    @cached_property
    def sizes(self) -> list[int]:
        """How many numeric, count and binary values there are, and the width of each block behind them."""
        groups = [column.group for column in self.ordered]
        alone = [groups.count(group) for group in GROUPS[:-1]]
        return [*alone, *(column.width for column in self.ordered[sum(alone) :])]

    @property
    def places(self) -> tuple[int, ...]:
        """`ordered`."""
        return (len(self.columns),)

    def spread(self, each: Tensor) -> Tensor:
        return each.repeat_interleave(torch.tensor([column.width for column in self.ordered]), -1)

    def encode(self, cells: Sequence[Sequence[str | None]]) -> tuple[np.ndarray, np.ndarray]:
        """x and mask `[n, *shape]` of n cells a column, in the file's order. Raises `Refusal` as `Column.encode`."""
        parts = {column.name: column.encode(each) for column, each in zip(self.columns, cells, strict=True)}
        x, mask = zip(*(parts[column.name] for column in self.ordered), strict=True)
        widths = [column.width for column in self.ordered]
        return np.concatenate(x, 1), np.stack(mask, 1).repeat(widths, 1)

    def decode(self, x: Tensor) -> list[list[str]]:
        """The cells of x `[n, *shape]` or of means of such, a list a column, in the file's order."""
        ends = list(accumulate(column.width for column in self.ordered))
        values = {c.name: x[:, end - c.width : end].cpu().numpy() for c, end in zip(self.ordered, ends, strict=True)}
        return [column.decode(values[column.name]) for column in self.columns]

    def check(self, x: Tensor) -> None:
        super().check(x)
        _, counts, binary, *blocks = x.split(self.sizes, -1)
        one_hot = all(((block == 0) | (block == 1)).all() and (block.sum(-1) <= 1).all() for block in blocks)
        n = counts.expm1()
        if not one_hot or not ((binary == 0) | (binary == 1)).all() or not torch.allclose(n, n.round(), rtol=1e-4):
            raise Refusal("Got means of categories or counts, expected rows of the table; draw some by task.draw=true.")


@dataclass(frozen=True)
class Sphere(Real):
    """Unit vectors of R^d, shape (d,)."""

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Along the great circle, at constant speed (Shoemake 1985)."""
        t = t.reshape(-1, *[1] * a.dim()).to(a)
        angle = (a * b).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()
        return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()


@dataclass(frozen=True)
class Ball(Real):
    """The Poincare ball of curvature -1: points of R^d, shape (d,), with norm below 1."""

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Along the geodesic, at constant speed."""
        t = t.reshape(-1, *[1] * a.dim()).to(a)
        return poincare.exp(a, t * poincare.log(a, b))


def bits() -> Tensor:
    """The atoms 0 and 1, `[2, 1]`."""
    return torch.tensor([[0.0], [1.0]])


@dataclass(frozen=True)
class Codes(Real):
    """Discrete latent variables: at each position a point of `width` numbers, one of K `atoms`.

    shape: `(G * width,)`, G positions one behind the other, or `(G * width, H, W)`, G of them at each place of a map.
    codebook() gives the atoms as they are now, `[atoms, width]`: a posterior may learn them.
    """

    atoms: int = 2
    width: int = 1
    codebook: Callable[[], Tensor] = field(default=bits, compare=False, repr=False)

    @property
    def values(self) -> str:
        return "discrete"

    @property
    def positions(self) -> tuple[int, ...]:
        """The shape of a whole number for each position: `(G,)` or `(G, H, W)`."""
        return (self.shape[0] // self.width, *self.shape[1:])

    def points(self, z: Tensor) -> Tensor:
        """z `[..., *shape]` as a point for each position, `[..., *positions, width]`."""
        channels = -len(self.shape)
        return z.unflatten(channels, (self.positions[0], self.width)).movedim(channels, -1)

    def array(self, points: Tensor) -> Tensor:
        """Points `[..., *positions, width]` as z `[..., *shape]`."""
        channels = -len(self.shape)
        return points.movedim(-1, channels).flatten(channels - 1, channels)

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Position after position changes from its point in a to that in b: at every time these are codes."""
        count = math.prod(self.positions)
        changed = t.reshape(-1, 1).to(a) > (torch.arange(count).to(a) + 0.5) / count
        changed = changed.unflatten(1, self.positions).repeat_interleave(self.width, 1)
        return torch.where(changed.reshape(len(t), *[1] * (a.dim() - len(self.shape)), *self.shape), b, a)
