"""The residual networks of `resnet`, less the linear layers at their ends: features are a map.

References:
    Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS 2017.
        https://arxiv.org/abs/1711.00937
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.networks.conv import check_channels, halvings
from vaekit.networks.network import Features
from vaekit.networks.resnet import Up, down
from vaekit.networks.upsample import Upsample
from vaekit.spaces import Maps, Space


class Encoder(Features):
    """x `[N, C, H, W]` -> a map `[N, channels[-1], h, w]`; each of `channels` is a stage, `blocks` at half the size."""

    reads = Maps
    gives = frozenset({Capability.MAPS})

    def __init__(self, space: Space, channels: Sequence[int], blocks: int = 1):
        super().__init__()
        check_channels(channels)
        colours, *size = space.shape
        self.body = nn.Sequential(*down(colours, channels, blocks))
        self.out_shape = (channels[-1], *halvings((size[0], size[1]), len(channels))[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Decoder(Up):
    """Latent state `[N, *in_shape]`, a map or a vector -> `[N, params, C, H, W]`: the encoder's stages, backwards."""

    def __init__(self, in_shape: tuple[int, ...], space: Space, params: int, channels: Sequence[int], blocks: int = 1):
        _, height, width = space.shape
        shape = (channels[-1], *halvings((height, width), len(channels))[-1])
        if len(in_shape) == 3:
            conv = nn.Conv2d(in_shape[0], channels[-1], kernel_size=3, padding=1)
            seed = nn.Sequential(Upsample(shape[1:]), conv)
        else:
            linear = nn.Linear(math.prod(in_shape), math.prod(shape))
            seed = nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, shape))
        super().__init__(seed, space, params, channels, blocks)
        self.in_shape = in_shape
