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
    """Linear layers between consecutive sizes, each followed by the activation.

    Args:
        sizes: Number of units, from the input to the last layer.
        activation: Name of an activation of torch.nn.

    Example:
        >>> from vaekit.networks.mlp import layers
        >>> len(layers([784, 512, 256], "ReLU"))
        4
    """
    return [module for a, b in pairwise(sizes) for module in (Linear(a, b), activation_by_name(activation))]


class Encoder(Features):
    """x `[N, *space.shape]` -> features `[N, hidden[-1]]`.

    Args:
        space: The space of x.
        hidden: Width of each layer; [] gives x itself, flat.
        activation: Name of an activation of torch.nn.

    Raises:
        Refusal: If a width is below 1, or the activation is unknown.

    Example:
        >>> import torch
        >>> from vaekit.networks.mlp import Encoder
        >>> from vaekit.spaces import Real
        >>> Encoder(Real((5,)), hidden=[8, 4])(torch.zeros(2, 5)).shape
        torch.Size([2, 4])
    """

    reads = Space

    def __init__(self, space: Space, hidden: Sequence[int], activation: str = "ReLU"):
        super().__init__()
        at_least_one(hidden=(hidden, [512, 256]))
        self.out_shape = (hidden[-1] if hidden else space.size,)
        self.body = nn.Sequential(nn.Flatten(), *layers([space.size, *hidden], activation))
        glorot(self)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `params` numbers per value, `[N, params, *space.shape]`.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        hidden: The encoder's widths, used in reverse.
        activation: Name of an activation of torch.nn.

    Example:
        >>> import torch
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Real
        >>> Decoder((3,), Real((5,)), params=2, hidden=[8, 4])(torch.zeros(4, 3)).shape
        torch.Size([4, 2, 5])
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
            Linear(sizes[-1], params * space.size, bias=False),  # the likelihood adds a bias
            nn.Unflatten(1, (params, *space.shape)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
