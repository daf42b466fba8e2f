"""The Poincare ball, for hyperbolic latents."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaekit.spaces import poincare
from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Ball(Space):
    """The Poincare ball of curvature -1: points of R^d with norm below 1.

    Args:
        shape: (d,).

    Example:
        >>> import torch
        >>> from vaekit.spaces import Ball
        >>> a, b = torch.tensor([-0.5, 0.0]), torch.tensor([0.5, 0.0])
        >>> Ball((2,)).path(a, b, torch.tensor([0.5])).abs()
        tensor([[0., 0.]])
    """

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """The points at times t `[T]` of the geodesic from a to b, `[T, ..., d]`, at constant speed."""
        t = t.reshape(-1, *[1] * a.dim()).to(a)
        return poincare.exp(a, t * poincare.log(a, b))
