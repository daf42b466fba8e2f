"""Convolutions in time, for sound: the frequency bands of a spectrogram are channels; a waveform has one.

Each stage is normalized over its channels and steps: without it, the signal of z fades over so many strides.

References:
    Aäron van den Oord et al. Parallel WaveNet: Fast High-Fidelity Speech Synthesis. In ICML 2018.
        https://arxiv.org/abs/1711.10433
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaekit.networks.conv import check_channels
from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features, stem
from vaekit.networks.sequence import Block
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.spaces import Audio, Space

STRIDE = 4


def lengths(steps: int, times: int) -> list[int]:
    """The number of steps before and after each stride, rounded up.

    Args:
        steps: Number of steps of the sound.
        times: Number of strides.

    Example:
        >>> from vaekit.networks.wave import lengths
        >>> lengths(100, 2)
        [100, 25, 7]
    """
    return [-(-steps // STRIDE**i) for i in range(times + 1)]


def dilated(width: int, blocks: int) -> list[nn.Module]:
    """Residual blocks of dilation 1, 2, 4, ... .

    Args:
        width: Number of channels.
        blocks: Number of blocks.

    Raises:
        Refusal: If `blocks` is below 0.
    """
    if blocks < 0:
        raise Refusal(f"{setting('blocks')}={blocks} must be at least 0; use {setting('blocks')}=4.")
    return [Block(width, 2**i) for i in range(blocks)]


class Encoder(Features):
    """x `[N, 1, bands, T]` -> features `[N, features]`, by convolutions of stride 4.

    Args:
        space: The space of x.
        channels: The width of each convolution, each of which leaves a fourth of the steps.
        blocks: Number of dilated convolutions after the last stage.
        features: Number of features.

    Raises:
        Refusal: If a size is below 1, or `blocks` is below 0.

    Example:
        >>> import torch
        >>> from vaekit.networks.wave import Encoder
        >>> from vaekit.spaces import Audio
        >>> encoder = Encoder(Audio((1, 1, 64), bins=256), channels=[4, 8], blocks=1, features=16)
        >>> encoder(torch.zeros(2, 1, 1, 64)).shape
        torch.Size([2, 16])
    """

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
    """Latent state `[N, *in_shape]` -> `[N, params, 1, bands, T]`, by the encoder's stages in reverse, all steps at
    once.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        channels: The encoder's widths.
        blocks: Number of dilated convolutions in each stage.
        features: Width of the first linear layer.

    Example:
        >>> import torch
        >>> from vaekit.networks.wave import Decoder
        >>> from vaekit.spaces import Audio
        >>> decoder = Decoder((3,), Audio((1, 1, 64), bins=256), params=2, channels=[4, 8], blocks=1)
        >>> decoder(torch.zeros(5, 3)).shape
        torch.Size([5, 2, 1, 1, 64])
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
        self.stem = stem(in_shape, features, (channels[-1], self.lengths[0]))
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
            nn.Conv1d(channels[0], params * bands, kernel_size=1, bias=False),  # the likelihood adds a bias
            nn.Unflatten(1, (params, 1, bands)),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)
        for stage, length in zip(self.stages, self.lengths[1:], strict=True):
            h = stage(h)[..., :length]  # a stage makes four steps of one; lengths were rounded up by the encoder
        return self.head(h)
