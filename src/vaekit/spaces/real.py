"""Real vectors and arrays."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Real(Space):
    """Real vectors or arrays: latents in Euclidean space, or rows of continuous measurements.

    Args:
        shape: The shape of a point, any number of dimensions.

    Example:
        >>> import torch
        >>> from vaekit.spaces import Real
        >>> Real((2,)).path(torch.zeros(2), torch.ones(2), torch.tensor([0.0, 0.5, 1.0]))
        tensor([[0.0, 0.0],
                [0.5, 0.5],
                [1.0, 1.0]])
    """
