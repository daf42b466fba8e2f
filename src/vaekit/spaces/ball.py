"""Hyperbolic balls, of latent variables."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaekit.spaces import poincare
from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Ball(Space):
    """The Poincare ball of curvature -1: points of R^d, shape (d,), with norm below 1."""

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Along the geodesic, at constant speed."""
        t = t.reshape(-1, *[1] * a.dim()).to(a)
        return poincare.exp(a, t * poincare.log(a, b))
