"""The base class of encoders, and the first layers of decoders."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.networks.activation import activation as activation_by_name
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


def stem(in_shape: tuple[int, ...], features: int, shape: tuple[int, ...], activation: str = "SiLU") -> nn.Sequential:
    """Two linear layers from a latent state to the first maps of a decoder, `[N, *in_shape]` -> `[N, *shape]`.

    Args:
        in_shape: Shape of the latent state of a row.
        features: Width of the layer between.
        shape: Shape of the maps of a row.
        activation: Name of an activation of torch.nn, between the two.

    Example:
        >>> import torch
        >>> from vaekit.networks.network import stem
        >>> stem((3,), features=8, shape=(4, 2, 2))(torch.zeros(5, 3)).shape
        torch.Size([5, 4, 2, 2])
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(in_shape), features),
        activation_by_name(activation),
        nn.Linear(features, math.prod(shape)),
        nn.Unflatten(1, shape),
    )
