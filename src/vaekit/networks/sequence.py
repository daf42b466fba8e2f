"""Gated dilated causal convolutions, for windows of time series.

References:
    Aäron van den Oord et al. WaveNet: A Generative Model for Raw Audio. arXiv 2016. https://arxiv.org/abs/1609.03499
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features, stem
from vaekit.refusal import at_least_one
from vaekit.spaces import Series, Space


class Block(nn.Module):
    """`[N, width, T]` -> the same shape, from each step and the steps `dilation` and 2 `dilation` before it.

    Args:
        width: Number of channels.
        dilation: Steps between the taps of the kernel.

    Example:
        >>> import torch
        >>> from vaekit.networks.sequence import Block
        >>> Block(4, dilation=2)(torch.zeros(3, 4, 10)).shape
        torch.Size([3, 4, 10])
    """

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.past = 2 * dilation
        self.gates = nn.Conv1d(width, 2 * width, kernel_size=3, dilation=dilation)
        self.out = nn.Conv1d(width, width, kernel_size=1)

    def forward(self, h: Tensor) -> Tensor:
        a, b = self.gates(pad(h, (self.past, 0))).chunk(2, 1)
        return h + self.out(a.tanh() * b.sigmoid())


def blocks(width: int, steps: int) -> list[Block]:
    """Blocks of dilation 1, 2, 4, ..., until the last of `steps` depends on the first.

    Args:
        width: Number of channels.
        steps: Length T of the window.
    """
    count = max(1, math.ceil(math.log2((steps - 1) / 2 + 1)))
    return [Block(width, 2**i) for i in range(count)]


class Encoder(Features):
    """x `[N, series, T]` -> features `[N, features]`; it reads x and |x|, which shows volatility.

    Args:
        space: The space of x.
        width: Channels of the convolutions.
        features: Number of features.

    Raises:
        Refusal: If `width` or `features` is below 1.

    Example:
        >>> import torch
        >>> from vaekit.networks.sequence import Encoder
        >>> from vaekit.spaces import Real
        >>> Encoder(Real((2, 10)), width=4, features=8)(torch.zeros(3, 2, 10)).shape
        torch.Size([3, 8])
    """

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
    """Latent state `[N, *in_shape]` -> `[N, params, series, T]`.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        width: Channels of the convolutions.
        features: Width of the first linear layer.

    Example:
        >>> import torch
        >>> from vaekit.networks.sequence import Decoder
        >>> from vaekit.spaces import Real
        >>> Decoder((3,), Real((2, 10)), params=2, width=4)(torch.zeros(5, 3)).shape
        torch.Size([5, 2, 2, 10])
    """

    def __init__(self, in_shape: tuple[int, ...], space: Space, params: int, width: int, features: int = 256):
        super().__init__()
        series, steps = space.shape
        self.in_shape = in_shape
        self.body = nn.Sequential(
            *stem(in_shape, features, (width, steps)),
            *blocks(width, steps),
            nn.SiLU(),
            nn.Conv1d(width, params * series, kernel_size=1, bias=False),  # the likelihood adds a bias
            nn.Unflatten(1, (params, series)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
