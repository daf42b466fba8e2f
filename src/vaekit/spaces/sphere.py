"""Spheres, of latent variables."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Sphere(Space):
    """Unit vectors of R^d, shape (d,)."""

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Along the great circle, at constant speed (Shoemake 1985)."""
        t = t.reshape(-1, *[1] * a.dim()).to(a)
        angle = (a * b).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()
        return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
