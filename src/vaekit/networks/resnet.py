"""Residual convolutional networks (He et al. 2016), whose branches alone are normalised, and that per example.

Group normalisation, not batch normalisation: the loss of an image does not depend on its neighbours in the batch. How
bright it is stays known on the way beside the branches; a norm at the end of that way too cost 4 nats after 3 epochs of
MNIST, while without any a PixelCNN behind the network may never learn. The last layer of a branch starts smaller.

References:
    Kaiming He et al. Identity Mappings in Deep Residual Networks. In ECCV 2016. https://arxiv.org/abs/1603.05027
    Yuxin Wu, Kaiming He. Group Normalization. In ECCV 2018. https://arxiv.org/abs/1803.08494
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaekit.networks.conv import check_channels, halvings
from vaekit.networks.glorot import glorot, scaled
from vaekit.networks.network import Features
from vaekit.networks.upsample import upsample
from vaekit.refusal import at_least_one
from vaekit.spaces import Maps, Space


class Block(nn.Module):
    """`[N, C, H, W]` -> the same shape: x + conv(silu(conv(silu(norm(x))))), the last layer times `scale` at the start.

    The norm is over groups of 8 channels, or fewer, where 8 does not divide.
    """

    def __init__(self, channels: int, scale: float):
        super().__init__()
        first, last = (nn.Conv2d(channels, channels, kernel_size=3, padding=1) for _ in range(2))
        norm = nn.GroupNorm(channels // math.gcd(channels, 8), channels)
        self.body = glorot(nn.Sequential(norm, nn.SiLU(), first, nn.SiLU(), last))
        scaled(last, scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def stack(channels: int, blocks: int, stages: int) -> list[Block]:
    """The blocks of one of the stages."""
    return [Block(channels, (blocks * stages) ** -0.5) for _ in range(blocks)]


def down(colours: int, channels: Sequence[int], blocks: int) -> list[nn.Module]:
    """`[N, colours, H, W]` -> `[N, channels[-1], h, w]`; each of `channels` is a stage at half the size."""
    body: list[nn.Module] = []
    for a, b in zip([colours, *channels[:-1]], channels, strict=True):
        halve = glorot(nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1))
        body += [halve, *stack(b, blocks, len(channels))]
    return [*body, nn.SiLU()]


class Up(nn.Module):
    """State -> `[N, params, C, H, W]`: `seed` makes a map of it, then come the stages of `down`, backwards."""

    def __init__(self, seed: nn.Module, space: Space, params: int, channels: Sequence[int], blocks: int):
        super().__init__()
        self.out_shape = (params, *space.shape)
        colours, *size = space.shape
        self.sizes = halvings((size[0], size[1]), len(channels))[::-1]
        self.stem = glorot(seed)
        widths = [*reversed(channels), channels[0]]
        self.stages = nn.ModuleList(
            nn.Sequential(*stack(a, blocks, len(channels)), glorot(nn.Conv2d(a, b, kernel_size=3, padding=1)))
            for a, b in pairwise(widths)
        )
        last = nn.Conv2d(channels[0], params * colours, kernel_size=3, padding=1, bias=False)
        self.head = glorot(nn.Sequential(nn.SiLU(), last))

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)
        for stage, size in zip(self.stages, self.sizes[1:], strict=True):
            h = upsample(stage(h), size)
        return self.head(h).unflatten(1, self.out_shape[:2])


class Encoder(Features):
    """x `[N, C, H, W]` -> features `[N, features]`; each of `channels` is a stage of `blocks` at half the size."""

    reads = Maps

    def __init__(self, space: Space, channels: Sequence[int], blocks: int = 1, features: int = 256):
        super().__init__()
        check_channels(channels)
        at_least_one(features=(features, 256))
        colours, *size = space.shape
        height, width = halvings((size[0], size[1]), len(channels))[-1]
        flat = channels[-1] * height * width
        linear = glorot(nn.Linear(flat, features))
        self.body = nn.Sequential(*down(colours, channels, blocks), nn.Flatten(), linear, nn.SiLU())
        self.out_shape = (features,)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Decoder(Up):
    """Latent state `[N, *in_shape]` -> `[N, params, C, H, W]`: the encoder's stages, backwards."""

    def __init__(
        self,
        in_shape: tuple[int, ...],
        space: Space,
        params: int,
        channels: Sequence[int],
        blocks: int = 1,
        features: int = 256,
    ):
        _, height, width = space.shape
        shape = (channels[-1], *halvings((height, width), len(channels))[-1])
        seed = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(in_shape), features),
            nn.SiLU(),
            nn.Linear(features, math.prod(shape)),
            nn.Unflatten(1, shape),
        )
        super().__init__(seed, space, params, channels, blocks)
        self.in_shape = in_shape
