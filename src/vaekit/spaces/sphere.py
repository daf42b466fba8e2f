"""The unit sphere, for directional latents."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Sphere(Space):
    """Unit vectors of R^d.

    Args:
        shape: (d,).

    Example:
        >>> import torch
        >>> from vaekit.spaces import Sphere
        >>> Sphere((2,)).path(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5]))
        tensor([[0.7071, 0.7071]])
    """

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """The points at times t `[T]` of the great circle from a to b, `[T, ..., d]`, at constant speed (Shoemake
        1985).
        """
        t = t.reshape(-1, *[1] * a.dim()).to(a)
        angle = (a * b).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()
        return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
