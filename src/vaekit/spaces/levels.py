"""Maps of games (levels)."""

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
    """Maps of a game as one-hot arrays of shape (tiles, height, width): a channel for each tile.

    An unknown cell is 0 in all channels.

    Args:
        shape: (tiles, height, width).
        tiles: The properties of each tile by its character, in the order of channels.

    Raises:
        ValueError: If the shape does not fit the tiles.

    Example:
        >>> from vaekit.spaces import Levels
        >>> Levels((2, 4, 6), tiles={"-": ["free"], "X": ["solid"]}).cell_shape
        (4, 6)
    """

    tiles: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiles", {str(tile): tuple(map(str, each)) for tile, each in self.tiles.items()})
        if len(self.shape) != 3 or self.shape[0] != len(self.tiles):
            raise ValueError(f"{len(self.tiles)} tiles, shape {self.shape}")

    @property
    def values(self) -> str:
        return "tiles"

    @property
    def playable(self) -> bool:
        """Whether there are tiles to start from and tiles to collect."""
        return {"spawn", "pickupable"} <= {each for properties in self.tiles.values() for each in properties}

    def observed(self, x: Tensor) -> Tensor | None:
        observed = x.sum(-3) > 0
        return None if observed.all() else self.per_value(observed.to(x))

    def bits_per_dim(self, nll: Tensor | float) -> Tensor | float | None:
        """Bits per cell."""
        return nll / math.prod(self.cell_shape) / math.log(2)

    def check(self, x: Tensor) -> None:
        Space.check(self, x)
        if not ((x == 0) | (x == 1)).all() or (x.sum(-3) > 1).any():
            raise Refusal("Got probabilities of tiles, expected one tile per cell; draw tiles by task.draw=true.")
