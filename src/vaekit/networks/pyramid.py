"""Residual bottleneck blocks at the image's own size, for the hierarchies of maps of `latents=deep`.

There is no normalization; instead the last layer of each branch starts smaller the more branches there are.

References:
    Rewon Child. Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images. In ICLR 2021.
        https://arxiv.org/abs/2011.10650
"""

import math

from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.networks.glorot import glorot, scaled
from vaekit.networks.network import Features
from vaekit.networks.upsample import Upsample
from vaekit.refusal import at_least_one
from vaekit.spaces import Maps, Space


class Bottleneck(nn.Module):
    """Maps `[..., C, H, W]` -> the same shape: x plus convolutions of it with C / 4 channels (Child 2021, figure 3).

    Args:
        channels: Channels C of the maps.
        size: Height and width; maps of at most 2x2 get only 1x1 convolutions.
        scale: Factor on the last layer at initialization.

    Example:
        >>> import torch
        >>> from vaekit.networks.pyramid import Bottleneck
        >>> Bottleneck(8, (4, 4))(torch.zeros(5, 3, 8, 4, 4)).shape
        torch.Size([5, 3, 8, 4, 4])
    """

    def __init__(self, channels: int, size: tuple[int, ...], scale: float = 1.0):
        super().__init__()
        middle, kernel = max(1, channels // 4), 3 if min(size) > 2 else 1
        widths = [(channels, middle, 1), (middle, middle, kernel), (middle, middle, kernel), (middle, channels, 1)]
        layers = [(nn.GELU(), nn.Conv2d(a, b, k, padding=k // 2)) for a, b, k in widths]
        self.body = glorot(nn.Sequential(*sum(layers, ())))
        scaled(layers[-1][1], scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x.flatten(0, -4)).unflatten(0, x.shape[:-3])


def stack(channels: int, blocks: int, size: tuple[int, ...]) -> list[nn.Module]:
    """Residual blocks in sequence.

    Args:
        channels: Channels of the maps.
        blocks: Number of blocks.
        size: Height and width of the maps.
    """
    return [Bottleneck(channels, size, blocks**-0.5) for _ in range(blocks)]


class Encoder(Features):
    """x `[N, C, H, W]` -> a map of the same size, `[N, channels, H, W]`.

    Args:
        space: The space of x.
        channels: Channels of the map.
        blocks: Number of residual blocks.

    Raises:
        Refusal: If `channels` is below 1.

    Example:
        >>> import torch
        >>> from vaekit.networks.pyramid import Encoder
        >>> from vaekit.spaces import Image
        >>> Encoder(Image((1, 8, 8), bins=2), channels=4)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 8, 8])
    """

    reads = Maps
    gives = frozenset({Capability.MAPS})

    def __init__(self, space: Space, channels: int, blocks: int = 1):
        super().__init__()
        at_least_one(channels=(channels, 32))
        image_channels, *size = space.shape
        stem = glorot(nn.Conv2d(image_channels, channels, kernel_size=3, padding=1))
        self.body = nn.Sequential(stem, *stack(channels, blocks, tuple(size)))
        self.out_shape = (channels, *size)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]`, a map of any size or a vector -> `[N, params, C, H, W]`.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        channels: Channels of the maps.
        blocks: Number of residual blocks.

    Example:
        >>> import torch
        >>> from vaekit.networks.pyramid import Decoder
        >>> from vaekit.spaces import Image
        >>> Decoder((3,), Image((1, 8, 8), bins=2), params=2, channels=4)(torch.zeros(4, 3)).shape
        torch.Size([4, 2, 1, 8, 8])
    """

    def __init__(self, in_shape: tuple[int, ...], space: Space, params: int, channels: int, blocks: int = 1):
        super().__init__()
        self.in_shape, self.out_shape = in_shape, (params, *space.shape)
        image_channels, *size = space.shape
        to_map: list[nn.Module] = []
        if len(in_shape) != 3:  # a vector becomes a map of a quarter of the size
            shape = (channels, -(-size[0] // 4), -(-size[1] // 4))
            to_map = [nn.Flatten(), nn.Linear(math.prod(in_shape), math.prod(shape)), nn.Unflatten(1, shape)]
        stem = nn.Conv2d(in_shape[0] if not to_map else channels, channels, kernel_size=3, padding=1)
        self.stem = glorot(nn.Sequential(*to_map, Upsample(tuple(size)), stem))
        self.body = nn.Sequential(*stack(channels, blocks, tuple(size)))
        self.head = glorot(
            nn.Sequential(nn.GELU(), nn.Conv2d(channels, params * image_channels, kernel_size=3, padding=1, bias=False))
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.body(self.stem(z))).unflatten(1, self.out_shape[:2])
