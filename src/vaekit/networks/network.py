"""The base class of encoders."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.spaces import Space


class Features(nn.Module):
    """x `[N, *space.shape]` -> features `[N, *out_shape]`.

    A subclass states `reads`, the kind of space x may be in, `gives`, its capabilities, and `out_shape`. It computes
    the features by a module `body`, or by a `forward` of its own.
    """

    reads: ClassVar[type[Space]]
    gives = frozenset[Capability]()
    out_shape: tuple[int, ...]

    def forward(self, x: Tensor) -> Tensor:
        body: Any = self.body
        return body(x)
