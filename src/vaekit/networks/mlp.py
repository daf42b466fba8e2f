"""Fully connected networks, for data of any shape.

References:
    none
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaekit.networks.activation import activation as activation_by_name
from vaekit.networks.glorot import glorot
from vaekit.networks.linear import Linear
from vaekit.networks.network import Features
from vaekit.refusal import at_least_one
from vaekit.spaces import Space


def layers(sizes: Sequence[int], activation: str) -> list[nn.Module]:
    """Linear layers between consecutive `sizes`, each followed by the activation."""
    return [module for a, b in pairwise(sizes) for module in (Linear(a, b), activation_by_name(activation))]


class Encoder(Features):
    """x `[N, *space.shape]` -> features `[N, hidden[-1]]`."""

    reads = Space

    def __init__(self, space: Space, hidden: Sequence[int], activation: str = "ReLU"):
        super().__init__()
        at_least_one(hidden=(hidden, [512, 256]))
        self.out_shape = (hidden[-1] if hidden else space.size,)
        self.body = nn.Sequential(nn.Flatten(), *layers([space.size, *hidden], activation))
        glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `params` numbers per value, `[N, params, *space.shape]`.

    `hidden` is the encoder's, read backwards.
    """

    def __init__(
        self, in_shape: tuple[int, ...], space: Space, params: int, hidden: Sequence[int], activation: str = "ReLU"
    ):
        super().__init__()
        self.in_shape = in_shape
        sizes = [math.prod(in_shape), *reversed(hidden)]
        self.body = nn.Sequential(
            nn.Flatten(),
            *layers(sizes, activation),
            Linear(sizes[-1], params * space.size, bias=False),  # the likelihood owns the bias
            nn.Unflatten(1, (params, *space.shape)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
