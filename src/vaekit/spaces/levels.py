"""Levels of games."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.spaces.maps import Maps
from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Levels(Maps):
    """Levels of a game as one-hot maps, shape (tiles, height, width): a channel for each tile.

    tiles: the properties of each by its character, in the channels' order. A cell that is not known is 0 everywhere.
    """

    tiles: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiles", {str(tile): tuple(map(str, each)) for tile, each in self.tiles.items()})
        if len(self.shape) != 3 or self.shape[0] != len(self.tiles):
            raise ValueError(f"{len(self.tiles)} tiles, shape {self.shape}")

    @property
    def values(self) -> str:
        return "tiles"

    def known(self, x: Tensor) -> Tensor | None:
        there = x.sum(-3) > 0
        return None if there.all() else self.spread(there.to(x))

    def bits_per_dim(self, nll: Tensor | float) -> Tensor | float | None:
        """Bits a cell."""
        return nll / math.prod(self.places) / math.log(2)

    def check(self, x: Tensor) -> None:
        Space.check(self, x)
        if not ((x == 0) | (x == 1)).all() or (x.sum(-3) > 1).any():
            raise Refusal("Got probabilities of tiles, expected one tile a cell; draw some by task.draw=true.")
