"""The base class of encoders."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from vaekit.capabilities import Capability
from vaekit.spaces import Space


class Features(nn.Module):
    """x `[N, *space.shape]` -> features `[N, *out_shape]`.

    A subclass states `reads`, the kind of space x may be in, `gives`, its capabilities, and `out_shape`.
    """

    reads: ClassVar[type[Space]]
    gives = frozenset[Capability]()
    out_shape: tuple[int, ...]
