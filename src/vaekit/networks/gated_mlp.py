"""Fully connected residual networks with gates and layer normalization, for data of any shape.

References:
    Yann Dauphin et al. Language Modeling with Gated Convolutional Networks. In ICML 2017.
        https://arxiv.org/abs/1612.08083
"""

import math

from torch import Tensor, nn

from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features
from vaekit.refusal import at_least_one, below_one
from vaekit.spaces import Space


class Block(nn.Module):
    """`[N, width]` -> the same shape: x + dropout(glu(linear(norm(x)))).

    Args:
        width: Number of units.
        dropout: Probability with which a unit of the branch is dropped in training.
    """

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GLU(dim=1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def body(into: int, width: int, blocks: int, dropout: float) -> list[nn.Module]:
    """The layers from `into` to `width` units: a linear layer, residual blocks and an activation.

    Args:
        into: Number of inputs.
        width: Number of outputs.
        blocks: Number of residual blocks.
        dropout: Of every block.

    Raises:
        Refusal: If `width` is below 1 or `dropout` is outside [0, 1).
    """
    at_least_one(width=(width, 512))
    below_one(dropout=(dropout, 0))
    return [nn.Flatten(), nn.Linear(into, width), *[Block(width, dropout) for _ in range(blocks)], nn.SiLU()]


class Encoder(Features):
    """x `[N, *space.shape]` -> features `[N, width]`.

    Args:
        space: The space of x.
        width: Number of units of every layer.
        blocks: Number of residual blocks.
        dropout: Probability with which a unit of a branch is dropped in training.

    Raises:
        Refusal: If `width` is below 1 or `dropout` is outside [0, 1).

    Example:
        >>> import torch
        >>> from vaekit.networks.gated_mlp import Encoder
        >>> from vaekit.spaces import Real
        >>> Encoder(Real((5,)), width=8)(torch.zeros(2, 5)).shape
        torch.Size([2, 8])
    """

    reads = Space

    def __init__(self, space: Space, width: int, blocks: int = 2, dropout: float = 0.0):
        super().__init__()
        self.out_shape = (width,)
        self.body = nn.Sequential(*body(space.size, width, blocks, dropout))
        glorot(self)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `params` numbers per value, `[N, params, *space.shape]`.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        width: Number of units of every layer.
        blocks: Number of residual blocks.
        dropout: Probability with which a unit of a branch is dropped in training.

    Example:
        >>> import torch
        >>> from vaekit.networks.gated_mlp import Decoder
        >>> from vaekit.spaces import Real
        >>> Decoder((3,), Real((5,)), params=2, width=8)(torch.zeros(4, 3)).shape
        torch.Size([4, 2, 5])
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        space: Space,
        params: int,
        width: int,
        blocks: int = 2,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.in_shape = in_shape
        self.body = nn.Sequential(
            *body(math.prod(in_shape), width, blocks, dropout),
            nn.Linear(width, params * space.size, bias=False),  # the likelihood adds a bias
            nn.Unflatten(1, (params, *space.shape)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
