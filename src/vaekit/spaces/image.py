"""Images."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.spaces.maps import Maps


@dataclass(frozen=True)
class Image(Maps):
    """Images of shape (channels, height, width), values in [0, 1].

    levels: number of grey levels L, or None if the values are continuous. Discrete images hold k / (L - 1).
    dequantized: True if uniform noise was added, (k + u) / L, which makes them continuous.
    white: what the brightest level is in image files of more than 8 bits; None for that of the files themselves.
    """

    levels: int | None = 256
    white: int | None = None
