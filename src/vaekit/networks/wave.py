"""Convolutions in time alone, for sound: the bands of a spectrogram, or the one of a wave, are channels.

Each stage is normalised over its channels and steps: unnormalised, so many strides let z fade before it is ever used.

References:
    Aäron van den Oord et al. Parallel WaveNet: Fast High-Fidelity Speech Synthesis. In ICML 2018.
        https://arxiv.org/abs/1711.10433
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaekit.networks.conv import check_channels
from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features
from vaekit.networks.sequence import Block
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.spaces import Audio, Space

STRIDE = 4


def lengths(steps: int, times: int) -> list[int]:
    """`steps` and what is left of them after each stride, rounded up."""
    return [-(-steps // STRIDE**i) for i in range(times + 1)]


def dilated(width: int, blocks: int) -> list[nn.Module]:
    if blocks < 0:
        raise Refusal(f"{setting('blocks')}={blocks} must be at least 0; use {setting('blocks')}=4.")
    return [Block(width, 2**i) for i in range(blocks)]


class Encoder(Features):
    """x `[N, 1, bands, T]` -> features `[N, features]`; each entry of `channels` leaves a fourth of the steps."""

    reads = Audio

    def __init__(self, space: Space, channels: Sequence[int], blocks: int = 4, features: int = 256):
        super().__init__()
        check_channels(channels)
        at_least_one(features=(features, 256))
        _, bands, steps = space.shape
        self.out_shape = (features,)
        body: list[nn.Module] = [nn.Flatten(1, 2)]
        for a, b in zip([bands, *channels[:-1]], channels, strict=True):
            conv = nn.Conv1d(a, b, kernel_size=2 * STRIDE + 1, stride=STRIDE, padding=STRIDE)
            body += [conv, nn.GroupNorm(1, b), nn.SiLU()]
        body += [*dilated(channels[-1], blocks), nn.SiLU(), nn.Flatten()]
        left = channels[-1] * lengths(steps, len(channels))[-1]
        self.body = nn.Sequential(*body, nn.Linear(left, features), nn.SiLU())
        glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(2 * x - 1)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `[N, params, 1, bands, T]`, all steps at once: the encoder's stages, backwards,
    each followed by dilated convolutions.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        space: Space,
        params: int,
        channels: Sequence[int],
        blocks: int = 4,
        features: int = 256,
    ):
        super().__init__()
        _, bands, steps = space.shape
        self.in_shape = in_shape
        self.lengths = lengths(steps, len(channels))[::-1]
        self.stem = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(in_shape), features),
            nn.SiLU(),
            nn.Linear(features, channels[-1] * self.lengths[0]),
            nn.Unflatten(1, (channels[-1], self.lengths[0])),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, a),
                nn.SiLU(),
                nn.ConvTranspose1d(a, b, kernel_size=2 * STRIDE, stride=STRIDE, padding=STRIDE // 2),
                *dilated(b, blocks),
            )
            for a, b in pairwise([*reversed(channels), channels[0]])
        )
        self.head = nn.Sequential(
            nn.GroupNorm(1, channels[0]),
            nn.SiLU(),
            nn.Conv1d(channels[0], params * bands, kernel_size=1, bias=False),  # the likelihood owns the bias
            nn.Unflatten(1, (params, 1, bands)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)
        for stage, length in zip(self.stages, self.lengths[1:], strict=True):
            h = stage(h)[..., :length]  # a stage makes four steps of one; odd lengths were rounded up on the way down
        return self.head(h)
