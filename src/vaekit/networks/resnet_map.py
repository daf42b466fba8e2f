"""The residual networks of `network=resnet` without linear layers: features are a map.

References:
    Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS 2017.
        https://arxiv.org/abs/1711.00937
"""

import math
from collections.abc import Sequence

from torch import nn

from vaekit.capabilities import Capability
from vaekit.networks.conv import check_channels, downsampled_sizes
from vaekit.networks.network import Features
from vaekit.networks.resnet import UpsamplingStages, downsampling_stages
from vaekit.networks.upsample import Upsample
from vaekit.spaces import Maps, Space


class Encoder(Features):
    """x `[N, C, H, W]` -> a map `[N, channels[-1], h, w]`, by stages of residual blocks.

    Args:
        space: The space of x.
        channels: Channels of each stage, each at half the height and width of the one before.
        blocks: Number of residual blocks in each stage.

    Raises:
        Refusal: If there is no stage, or one of a width below 1.

    Example:
        >>> import torch
        >>> from vaekit.networks.resnet_map import Encoder
        >>> from vaekit.spaces import Image
        >>> Encoder(Image((1, 8, 8), bins=2), channels=[4, 8])(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 8, 2, 2])
    """

    reads = Maps
    gives = frozenset({Capability.MAPS})

    def __init__(self, space: Space, channels: Sequence[int], blocks: int = 1):
        super().__init__()
        check_channels(channels)
        image_channels, *size = space.shape
        self.body = nn.Sequential(*downsampling_stages(image_channels, channels, blocks))
        self.out_shape = (channels[-1], *downsampled_sizes((size[0], size[1]), len(channels))[-1])


class Decoder(UpsamplingStages):
    """Latent state `[N, *in_shape]`, a map or a vector -> `[N, params, C, H, W]`, by the encoder's stages in reverse.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        channels: Channels of each of the encoder's stages.
        blocks: Number of residual blocks in each stage.

    Example:
        >>> import torch
        >>> from vaekit.networks.resnet_map import Decoder
        >>> from vaekit.spaces import Image
        >>> Decoder((3, 2, 2), Image((1, 8, 8), bins=2), params=1, channels=[4, 8])(torch.zeros(5, 3, 2, 2)).shape
        torch.Size([5, 1, 1, 8, 8])
    """

    def __init__(self, in_shape: tuple[int, ...], space: Space, params: int, channels: Sequence[int], blocks: int = 1):
        _, height, width = space.shape
        shape = (channels[-1], *downsampled_sizes((height, width), len(channels))[-1])
        if len(in_shape) == 3:
            conv = nn.Conv2d(in_shape[0], channels[-1], kernel_size=3, padding=1)
            stem = nn.Sequential(Upsample(shape[1:]), conv)
        else:
            linear = nn.Linear(math.prod(in_shape), math.prod(shape))
            stem = nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, shape))
        super().__init__(stem, space, params, channels, blocks)
        self.in_shape = in_shape
