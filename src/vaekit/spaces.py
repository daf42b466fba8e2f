"""The two spaces of a VAE: where x lives and where z lives.

A space knows its shape, which values it holds, and a path between two points. Parts are checked by comparing
spaces, never by watching tensors broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vaekit import poincare
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
        """`binary`, `discrete`, `unit` (real, in [0, 1]) or `continuous`: what a likelihood must be able to score."""
        return "continuous"

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
