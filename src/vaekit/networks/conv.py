"""Strided convolutions, for images of any size from 8x8 up and any number of channels.

References:
    none
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaekit.networks.activation import activation as activation_by_name
from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.spaces import Maps, Space


def check_channels(channels: Sequence[int]) -> None:
    """Raise `Refusal` unless there are stages, each of some width."""
    if min(channels, default=0) < 1:
        raise Refusal(
            f"channels={list(channels)} must be one number or more, each at least 1; use [32,64], as in "
            f"{setting('channels')}=[32,64]."
        )


def halvings(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """`size` and what is left of it after each stride-2 convolution, rounded up as padding does."""
    sizes = [size]
    for _ in range(times):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


class Encoder(Features):
    """x `[N, C, H, W]` -> features `[N, features]`; each entry of `channels` halves height and width."""

    reads = Maps

    def __init__(self, space: Space, channels: Sequence[int], features: int = 256, activation: str = "ReLU"):
        super().__init__()
        check_channels(channels)
        at_least_one(features=(features, 256))
        colours, *size = space.shape
        height, width = halvings((size[0], size[1]), len(channels))[-1]
        body: list[nn.Module] = []
        for a, b in zip([colours, *channels[:-1]], channels, strict=True):
            body += [nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1), activation_by_name(activation)]
        flat = channels[-1] * height * width
        self.body = nn.Sequential(*body, nn.Flatten(), nn.Linear(flat, features), activation_by_name(activation))
        self.out_shape = (features,)
        glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `[N, params, C, H, W]`: the encoder's stages, backwards."""

    def __init__(
        self,
        in_shape: tuple[int, ...],
        space: Space,
        params: int,
        channels: Sequence[int],
        features: int = 256,
        activation: str = "ReLU",
    ):
        super().__init__()
        self.in_shape = in_shape
        self.out_shape = (params, *space.shape)
        colours, *size = space.shape
        self.sizes = halvings((size[0], size[1]), len(channels))[::-1]
        self.stem = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(in_shape), features),
            activation_by_name(activation),
            nn.Linear(features, channels[-1] * math.prod(self.sizes[0])),
            nn.Unflatten(1, (channels[-1], *self.sizes[0])),
        )
        widths = [*reversed(channels), channels[0]]
        self.stages = nn.ModuleList(
            nn.Sequential(activation_by_name(activation), nn.ConvTranspose2d(a, b, kernel_size=4, stride=2, padding=1))
            for a, b in pairwise(widths)
        )
        self.head = nn.Sequential(
            activation_by_name(activation),
            nn.Conv2d(channels[0], params * colours, kernel_size=3, padding=1, bias=False),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)
        for stage, (height, width) in zip(self.stages, self.sizes[1:], strict=True):
            h = stage(h)[..., :height, :width]  # a stage doubles; odd sizes were rounded up on the way down
        return self.head(h).unflatten(1, self.out_shape[:2])
