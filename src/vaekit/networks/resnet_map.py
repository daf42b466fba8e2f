"""The residual networks of `resnet`, less the linear layers at their ends: features are a map.

Cite: Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS 2017.
    https://arxiv.org/abs/1711.00937
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from vaekit.networks.conv import halvings
from vaekit.networks.glorot import glorot
from vaekit.networks.resnet import Block, normed
from vaekit.spaces import Image, Real


class Encoder(nn.Module):
    """x `[N, C, H, W]` -> a map `[N, channels[-1], h, w]`; each of `channels` is a stage, `blocks` at half the size."""

    reads = Image
    gives = frozenset({"maps"})

    def __init__(self, space: Real, channels: Sequence[int], blocks: int = 1):
        super().__init__()
        colours, *size = space.shape
        body: list[nn.Module] = []
        for a, b in zip([colours, *channels[:-1]], channels, strict=True):
            body += [nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1), *[Block(b) for _ in range(blocks)]]
        self.body = nn.Sequential(*body, *normed(channels[-1]))
        self.out_shape = (channels[-1], *halvings((size[0], size[1]), len(channels))[-1])
        glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]`, a map or a vector -> `[N, params, C, H, W]`: the encoder's stages, backwards."""

    def __init__(self, in_shape: tuple[int, ...], space: Real, params: int, channels: Sequence[int], blocks: int = 1):
        super().__init__()
        self.in_shape, self.out_shape = in_shape, (params, *space.shape)
        colours, *size = space.shape
        self.sizes = halvings((size[0], size[1]), len(channels))[::-1]
        shape = (channels[-1], *self.sizes[0])
        if len(in_shape) == 3:
            conv = nn.Conv2d(in_shape[0], channels[-1], kernel_size=3, padding=1)
            self.seed = nn.Sequential(nn.Upsample(size=self.sizes[0]), conv)
        else:
            linear = nn.Linear(math.prod(in_shape), math.prod(shape))
            self.seed = nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, shape))
        widths = [*reversed(channels), channels[0]]
        self.stages = nn.ModuleList(
            nn.Sequential(*[Block(a) for _ in range(blocks)], nn.Conv2d(a, b, kernel_size=3, padding=1))
            for a, b in pairwise(widths)
        )
        self.head = nn.Sequential(
            *normed(channels[0]), nn.Conv2d(channels[0], params * colours, kernel_size=3, padding=1, bias=False)
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        h = self.seed(z)
        for stage, size in zip(self.stages, self.sizes[1:], strict=True):
            h = functional.interpolate(stage(h), size=size, mode="nearest")
        return self.head(h).unflatten(1, self.out_shape[:2])
