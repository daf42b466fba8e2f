"""Discrete latent variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vaekit.spaces.space import Space


def bits() -> Tensor:
    """The atoms 0 and 1, `[2, 1]`."""
    return torch.tensor([[0.0], [1.0]])


@dataclass(frozen=True)
class Codes(Space):
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
