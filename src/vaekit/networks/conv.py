"""Strided convolutions, for images of at least 8x8 pixels and any number of channels.

References:
    none
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaekit.networks.activation import activation as activation_by_name
from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features, stem
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.spaces import Maps, Space


def check_channels(channels: Sequence[int]) -> None:
    """Check the widths of the stages of a convolutional network.

    Args:
        channels: The width of each stage.

    Raises:
        Refusal: If there is no stage, or one of a width below 1.
    """
    if min(channels, default=0) < 1:
        raise Refusal(
            f"{setting('channels')}={list(channels)} must hold at least one number, each at least 1; use "
            f"{setting('channels')}=[32,64]."
        )


def downsampled_sizes(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """The size of a map before and after each stride-2 convolution, rounded up because of padding.

    Args:
        size: Height and width.
        times: Number of convolutions.

    Returns:
        `times` + 1 sizes, largest first.

    Example:
        >>> from vaekit.networks.conv import downsampled_sizes
        >>> downsampled_sizes((28, 7), 2)
        [(28, 7), (14, 4), (7, 2)]
    """
    sizes = [size]
    for _ in range(times):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


class Encoder(Features):
    """x `[N, C, H, W]` -> features `[N, features]`, by convolutions of stride 2 and a linear layer.

    Args:
        space: The space of x.
        channels: The width of each convolution, each of which halves height and width.
        features: Number of features.
        activation: Name of an activation of torch.nn.

    Raises:
        Refusal: If a size is below 1, or the activation is unknown.

    Example:
        >>> import torch
        >>> from vaekit.networks.conv import Encoder
        >>> from vaekit.spaces import Image
        >>> Encoder(Image((1, 28, 28), bins=2), channels=[8, 16], features=32)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 32])
    """

    reads = Maps

    def __init__(self, space: Space, channels: Sequence[int], features: int = 256, activation: str = "ReLU"):
        super().__init__()
        check_channels(channels)
        at_least_one(features=(features, 256))
        image_channels, *size = space.shape
        height, width = downsampled_sizes((size[0], size[1]), len(channels))[-1]
        body: list[nn.Module] = []
        for a, b in zip([image_channels, *channels[:-1]], channels, strict=True):
            body += [nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1), activation_by_name(activation)]
        flat = channels[-1] * height * width
        self.body = nn.Sequential(*body, nn.Flatten(), nn.Linear(flat, features), activation_by_name(activation))
        self.out_shape = (features,)
        glorot(self)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `[N, params, C, H, W]`, by the encoder's stages in reverse.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        channels: The encoder's widths.
        features: Width of the first linear layer.
        activation: Name of an activation of torch.nn.

    Example:
        >>> import torch
        >>> from vaekit.networks.conv import Decoder
        >>> from vaekit.spaces import Image
        >>> Decoder((3,), Image((1, 9, 9), bins=2), params=2, channels=[8, 16])(torch.zeros(4, 3)).shape
        torch.Size([4, 2, 1, 9, 9])
    """

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
        image_channels, *size = space.shape
        self.sizes = downsampled_sizes((size[0], size[1]), len(channels))[::-1]
        self.stem = stem(in_shape, features, (channels[-1], *self.sizes[0]), activation)
        widths = [*reversed(channels), channels[0]]
        self.stages = nn.ModuleList(
            nn.Sequential(activation_by_name(activation), nn.ConvTranspose2d(a, b, kernel_size=4, stride=2, padding=1))
            for a, b in pairwise(widths)
        )
        self.head = nn.Sequential(
            activation_by_name(activation),
            nn.Conv2d(channels[0], params * image_channels, kernel_size=3, padding=1, bias=False),
        )
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)
        for stage, (height, width) in zip(self.stages, self.sizes[1:], strict=True):
            h = stage(h)[..., :height, :width]  # a stage doubles sizes; odd ones were rounded up by the encoder
        return self.head(h).unflatten(1, self.out_shape[:2])
