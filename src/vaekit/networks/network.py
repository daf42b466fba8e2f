"""What the encoders of all networks share."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from vaekit.capabilities import Capability
from vaekit.spaces import Space


class Features(nn.Module):
    """x `[N, *space.shape]` -> features `[N, *out_shape]`. reads: the kind of space that x may be in."""

    reads: ClassVar[type[Space]]
    gives = frozenset[Capability]()
    out_shape: tuple[int, ...]
