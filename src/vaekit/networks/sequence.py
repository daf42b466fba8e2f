"""Dilated causal convolutions with gates, for windows of series: a step reads itself and the steps before it.

References:
    Aäron van den Oord et al. WaveNet: A Generative Model for Raw Audio. arXiv 2016. https://arxiv.org/abs/1609.03499
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features
from vaekit.refusal import at_least_one
from vaekit.spaces import Series, Space


class Block(nn.Module):
    """`[N, width, T]` -> the same shape: of each step, and of those `dilation` and twice that before it."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.past = 2 * dilation
        self.gates = nn.Conv1d(width, 2 * width, kernel_size=3, dilation=dilation)
        self.out = nn.Conv1d(width, width, kernel_size=1)

    def forward(self, h: Tensor) -> Tensor:
        a, b = self.gates(pad(h, (self.past, 0))).chunk(2, 1)
        return h + self.out(a.tanh() * b.sigmoid())


def blocks(width: int, steps: int) -> list[Block]:
    """Dilations 1, 2, 4, ..., until the last of `steps` reads the first."""
    count = max(1, math.ceil(math.log2((steps - 1) / 2 + 1)))
    return [Block(width, 2**i) for i in range(count)]


class Encoder(Features):
    """x `[N, series, T]` -> features `[N, features]`. It reads |x| beside x: what volatility is seen from."""

    reads = Series

    def __init__(self, space: Space, width: int, features: int = 256):
        super().__init__()
        at_least_one(width=(width, 32), features=(features, 256))
        series, steps = space.shape
        self.out_shape = (features,)
        self.body = nn.Sequential(
            nn.Conv1d(2 * series, width, kernel_size=1),
            *blocks(width, steps),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(width * steps, features),
            nn.SiLU(),
        )
        glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.cat([x, x.abs()], 1))


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `[N, params, series, T]`."""

    def __init__(self, in_shape: tuple[int, ...], space: Space, params: int, width: int, features: int = 256):
        super().__init__()
        series, steps = space.shape
        self.in_shape = in_shape
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(in_shape), features),
            nn.SiLU(),
            nn.Linear(features, width * steps),
            nn.Unflatten(1, (width, steps)),
            *blocks(width, steps),
            nn.SiLU(),
            nn.Conv1d(width, params * series, kernel_size=1, bias=False),  # the likelihood owns the bias
            nn.Unflatten(1, (params, series)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
