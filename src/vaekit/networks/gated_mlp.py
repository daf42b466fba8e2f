"""Fully connected residual networks with gates, whose branches are normalised per example, for data of any shape.

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
    """`[N, width]` -> the same shape: x + dropout(glu(linear(norm(x))))."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GLU(dim=1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def body(into: int, width: int, blocks: int, dropout: float) -> list[nn.Module]:
    """Layers from `into` numbers to `width`."""
    at_least_one(width=(width, 512))
    below_one(dropout=(dropout, 0))
    return [nn.Flatten(), nn.Linear(into, width), *[Block(width, dropout) for _ in range(blocks)], nn.SiLU()]


class Encoder(Features):
    """x `[N, *space.shape]` -> features `[N, width]`."""

    reads = Space

    def __init__(self, space: Space, width: int, blocks: int = 2, dropout: float = 0.0):
        super().__init__()
        self.out_shape = (width,)
        self.body = nn.Sequential(*body(space.size, width, blocks, dropout))
        glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `params` numbers per value, `[N, params, *space.shape]`."""

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
            nn.Linear(width, params * space.size, bias=False),  # the likelihood owns the bias
            nn.Unflatten(1, (params, *space.shape)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
