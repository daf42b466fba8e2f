"""Residual convolutional networks (He et al. 2016), with group normalization in the branches only.

Group normalization instead of batch normalization, so that the loss of an image does not depend on its batch. The
residual path is not normalized and so preserves brightness: a norm at its end cost 4 nats after 3 epochs of MNIST, and
without any norm a PixelCNN after the network may never learn. The last layer of a branch starts smaller the more
branches there are.

References:
    Kaiming He et al. Identity Mappings in Deep Residual Networks. In ECCV 2016. https://arxiv.org/abs/1603.05027
    Yuxin Wu, Kaiming He. Group Normalization. In ECCV 2018. https://arxiv.org/abs/1803.08494
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaekit.networks.conv import check_channels, downsampled_sizes
from vaekit.networks.glorot import glorot, scaled
from vaekit.networks.network import Features, stem
from vaekit.networks.upsample import upsample
from vaekit.refusal import at_least_one
from vaekit.spaces import Maps, Space


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalization over groups of 8 channels, or of fewer where 8 does not divide their number.

    Args:
        channels: Number of channels.
    """
    return nn.GroupNorm(channels // math.gcd(channels, 8), channels)


class Block(nn.Module):
    """`[N, C, H, W]` -> the same shape: x + conv(silu(conv(silu(norm(x))))).

    Args:
        channels: Channels C.
        scale: Factor on the last layer at initialization.
    """

    def __init__(self, channels: int, scale: float):
        super().__init__()
        first, last = (nn.Conv2d(channels, channels, kernel_size=3, padding=1) for _ in range(2))
        self.body = glorot(nn.Sequential(group_norm(channels), nn.SiLU(), first, nn.SiLU(), last))
        scaled(last, scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def stack(channels: int, blocks: int, stages: int) -> list[Block]:
    """The residual blocks of one stage.

    Args:
        channels: Channels of the stage.
        blocks: Number of blocks in each stage.
        stages: Number of stages, by which the branches are scaled at initialization.
    """
    return [Block(channels, (blocks * stages) ** -0.5) for _ in range(blocks)]


def downsampling_stages(image_channels: int, channels: Sequence[int], blocks: int) -> list[nn.Module]:
    """The layers `[N, image_channels, H, W]` -> `[N, channels[-1], h, w]`, each stage at half the size of the one
    before.

    Args:
        image_channels: Channels of the image.
        channels: Channels of each stage.
        blocks: Number of residual blocks in each stage.
    """
    body: list[nn.Module] = []
    for a, b in zip([image_channels, *channels[:-1]], channels, strict=True):
        downsample = glorot(nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1))
        body += [downsample, *stack(b, blocks, len(channels))]
    return [*body, nn.SiLU()]


class UpsamplingStages(nn.Module):
    """Latent state -> `[N, params, C, H, W]`, by the stages of `downsampling_stages` in reverse.

    Args:
        stem: From the latent state to the smallest map.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        channels: Channels of each of the encoder's stages.
        blocks: Number of residual blocks in each stage.
    """

    def __init__(self, stem: nn.Module, space: Space, params: int, channels: Sequence[int], blocks: int):
        super().__init__()
        self.out_shape = (params, *space.shape)
        image_channels, *size = space.shape
        self.sizes = downsampled_sizes((size[0], size[1]), len(channels))[::-1]
        self.stem = glorot(stem)
        widths = [*reversed(channels), channels[0]]
        self.stages = nn.ModuleList(
            nn.Sequential(*stack(a, blocks, len(channels)), glorot(nn.Conv2d(a, b, kernel_size=3, padding=1)))
            for a, b in pairwise(widths)
        )
        last = nn.Conv2d(channels[0], params * image_channels, kernel_size=3, padding=1, bias=False)
        self.head = glorot(nn.Sequential(nn.SiLU(), last))

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)
        for stage, size in zip(self.stages, self.sizes[1:], strict=True):
            h = upsample(stage(h), size)
        return self.head(h).unflatten(1, self.out_shape[:2])


class Encoder(Features):
    """x `[N, C, H, W]` -> features `[N, features]`, by stages of residual blocks and a linear layer.

    Args:
        space: The space of x.
        channels: Channels of each stage, each at half the height and width of the one before.
        blocks: Number of residual blocks in each stage.
        features: Number of features.

    Raises:
        Refusal: If a size is below 1.

    Example:
        >>> import torch
        >>> from vaekit.networks.resnet import Encoder
        >>> from vaekit.spaces import Image
        >>> Encoder(Image((1, 8, 8), bins=2), channels=[4, 8], features=16)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 16])
    """

    reads = Maps

    def __init__(self, space: Space, channels: Sequence[int], blocks: int = 1, features: int = 256):
        super().__init__()
        check_channels(channels)
        at_least_one(features=(features, 256))
        image_channels, *size = space.shape
        height, width = downsampled_sizes((size[0], size[1]), len(channels))[-1]
        flat = channels[-1] * height * width
        linear = glorot(nn.Linear(flat, features))
        self.body = nn.Sequential(
            *downsampling_stages(image_channels, channels, blocks), nn.Flatten(), linear, nn.SiLU()
        )
        self.out_shape = (features,)


class Decoder(UpsamplingStages):
    """Latent state `[N, *in_shape]` -> `[N, params, C, H, W]`, by the encoder's stages in reverse.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        channels: Channels of each of the encoder's stages.
        blocks: Number of residual blocks in each stage.
        features: Width of the first linear layer.

    Example:
        >>> import torch
        >>> from vaekit.networks.resnet import Decoder
        >>> from vaekit.spaces import Image
        >>> Decoder((3,), Image((1, 8, 8), bins=2), params=2, channels=[4, 8])(torch.zeros(5, 3)).shape
        torch.Size([5, 2, 1, 8, 8])
    """

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
        shape = (channels[-1], *downsampled_sizes((height, width), len(channels))[-1])
        super().__init__(stem(in_shape, features, shape), space, params, channels, blocks)
        self.in_shape = in_shape
