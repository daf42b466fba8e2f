"""Real vectors and arrays."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Real(Space):
    """Real vectors or arrays of `shape`: latent variables in Euclidean space, or rows of continuous measurements."""
