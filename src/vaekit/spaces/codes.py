"""Discrete latent variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vaekit.spaces.space import Space


def binary_atoms() -> Tensor:
    """The atoms 0 and 1, `[2, 1]`."""
    return torch.tensor([[0.0], [1.0]])


@dataclass(frozen=True)
class Codes(Space):
    """Discrete latents: at each of G positions one of K atoms, each a vector of `width` numbers.

    Args:
        shape: (G * width,), the positions one after the other, or (G * width, H, W), G positions at each pixel of a
            map.
        atoms: Number K of atoms.
        width: Numbers of an atom.
        codebook: Returns the current atoms `[K, width]`, because a posterior may learn them.

    Example:
        >>> from vaekit.spaces import Codes
        >>> space = Codes((6, 4, 4), atoms=8, width=3)
        >>> space.positions, space.description
        ((2, 4, 4), 'Codes 2x4x4, 8 atoms')
    """

    atoms: int = 2
    width: int = 1
    codebook: Callable[[], Tensor] = field(default=binary_atoms, compare=False, repr=False)

    @property
    def description(self) -> str:
        return f"Codes {'x'.join(map(str, self.positions))}, {self.atoms} atoms"

    @property
    def values(self) -> str:
        return "discrete"

    @property
    def positions(self) -> tuple[int, ...]:
        """The shape of code indices: (G,) or (G, H, W)."""
        return (self.shape[0] // self.width, *self.shape[1:])

    def points(self, z: Tensor) -> Tensor:
        """z `[..., *shape]` as an atom at each position, `[..., *positions, width]`."""
        channels = -len(self.shape)
        return z.unflatten(channels, (self.positions[0], self.width)).movedim(channels, -1)

    def array(self, points: Tensor) -> Tensor:
        """Atoms `[..., *positions, width]` as z `[..., *shape]`."""
        channels = -len(self.shape)
        return points.movedim(-1, channels).flatten(channels - 1, channels)

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Positions change from a to b one after the other, so that each point of the path consists of atoms."""
        count = math.prod(self.positions)
        changed = t.reshape(-1, 1).to(a) > (torch.arange(count).to(a) + 0.5) / count
        changed = changed.unflatten(1, self.positions).repeat_interleave(self.width, 1)
        return torch.where(changed.reshape(len(t), *[1] * (a.dim() - len(self.shape)), *self.shape), b, a)
