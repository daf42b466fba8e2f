"""The two spaces of a VAE: where x lives and where z lives.

A space knows its shape, which values it holds, and a path between two points. Parts are checked by comparing
spaces, never by watching tensors broadcast.
"""

from vaekit.spaces.audio import Audio
from vaekit.spaces.ball import Ball
from vaekit.spaces.codes import Codes, bits
from vaekit.spaces.image import Image
from vaekit.spaces.levels import Levels
from vaekit.spaces.maps import Maps
from vaekit.spaces.pairs import Pairs
from vaekit.spaces.real import Real
from vaekit.spaces.series import Series
from vaekit.spaces.space import Space
from vaekit.spaces.sphere import Sphere
from vaekit.spaces.table import Table
from vaekit.spaces.text import END, PAD, UNKNOWN, Text, spoken

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
    "bits",
    "spoken",
]
