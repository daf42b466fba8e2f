"""Spaces of x and z.

A space knows the shape and the values of its points, and a path between two of them. Parts are checked by comparing
spaces, not by the shapes of tensors, which broadcast.
"""

from vaekit.spaces.audio import Audio
from vaekit.spaces.ball import Ball
from vaekit.spaces.codes import Codes, binary_atoms
from vaekit.spaces.image import Image
from vaekit.spaces.levels import Levels
from vaekit.spaces.maps import Maps
from vaekit.spaces.pairs import Pairs
from vaekit.spaces.real import Real
from vaekit.spaces.series import Series
from vaekit.spaces.space import Space
from vaekit.spaces.sphere import Sphere
from vaekit.spaces.table import Table
from vaekit.spaces.text import END, PAD, UNKNOWN, Text, sentence_mask

__all__ = [
    "END",
    "PAD",
    "UNKNOWN",
    "Audio",
    "Ball",
    "Codes",
    "Image",
    "Levels",
    "Maps",
    "Pairs",
    "Real",
    "Series",
    "Space",
    "Sphere",
    "Table",
    "Text",
    "binary_atoms",
    "sentence_mask",
]
