"""Images."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.spaces.maps import Maps


@dataclass(frozen=True)
class Image(Maps):
    """Images of shape (channels, height, width), with values in [0, 1].

    Args:
        shape: (channels, height, width).
        bins: Number L of gray values k / (L - 1); None if values are continuous.
        dequantized: Whether uniform noise u was added, (k + u) / L, which makes values continuous.
        white: The largest gray value of image files of more than 8 bits; None for that of the files.

    Example:
        >>> from vaekit.spaces import Image
        >>> Image((1, 28, 28)).values, Image((1, 28, 28), bins=2).values, Image((1, 28, 28), bins=None).values
        ('discrete', 'binary', 'unit')
        >>> Image((1, 28, 28), bins=2).description
        'Image 1x28x28, binary'
    """

    bins: int | None = 256
    white: int | None = None
