"""Gated masked convolutions: each pixel is conditioned on those before it, row by row from the top left.

There are two stacks, a vertical one for the rows above and a horizontal one for the pixels to the left, so that no
pixel before is left out. Masked positions are left out of the kernels instead of being multiplied by 0.

References:
    Aäron van den Oord et al. Conditional Image Generation with PixelCNN Decoders. In NeurIPS 2016.
        https://arxiv.org/abs/1606.05328
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaekit.networks.glorot import glorot

FIRST = 3  # pixels that the first layer sees in each direction


def gate(x: Tensor) -> Tensor:
    """tanh(a) sigmoid(b) of the two halves a and b of the channels: `[N, 2 C, ...]` -> `[N, C, ...]`.

    Args:
        x: The output of a convolution.
    """
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class Layer(nn.Module):
    """One layer of the vertical and the horizontal stack, `[N, width, H, W]` each.

    Args:
        width: Channels of each stack.
        maps: Channels of the context.
    """

    def __init__(self, width: int, maps: int):
        super().__init__()
        self.vertical = nn.Conv2d(width, 2 * width, (2, 3))
        self.context_proj = nn.Conv2d(maps, 2 * width, 1, bias=False)
        self.vertical_to_horizontal = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = nn.Conv2d(width, 2 * width, (1, 2), bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def vertical_stack(self, vertical: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The vertical stack's next features, and what the horizontal one reads of them."""
        whole = self.vertical(functional.pad(vertical, (1, 1, 1, 0))) + self.context_proj(maps)
        return gate(whole), self.vertical_to_horizontal(whole)

    def horizontal_stack(self, horizontal: Tensor, from_vertical: Tensor) -> Tensor:
        """The horizontal stack's next features."""
        return horizontal + self.out(gate(self.horizontal(functional.pad(horizontal, (1, 0))) + from_vertical))


class PixelCNN(nn.Module):
    """Images x `[N, C, H, W]` in [0, 1] and a context `maps` `[N, maps, H, W]` -> logits `[N, bins, C, H, W]`.

    The logits of a pixel depend on the context around it, the pixels before it and, for a channel, on the channels
    before it at the same pixel. `receptive_field` is how many pixels away it sees, to the left, to the right and
    upwards.

    Args:
        channels: Channels C of the logits.
        bins: Number of values of each channel.
        maps: Channels of the context.
        width: Channels of each stack.
        layers: Number of layers.
        in_channels: Channels of x, if these are not C.

    Example:
        >>> import torch
        >>> from vaekit.networks.pixelcnn import PixelCNN
        >>> network = PixelCNN(channels=1, bins=4, maps=2, width=8, layers=1)
        >>> network(torch.zeros(5, 1, 6, 6), torch.zeros(5, 2, 6, 6)).shape
        torch.Size([5, 4, 1, 6, 6])
    """

    before: Tensor
    layers: Any  # of `Layer`

    def __init__(self, channels: int, bins: int, maps: int, width: int, layers: int, in_channels: int | None = None):
        super().__init__()
        self.channels, self.bins, self.receptive_field = channels, bins, FIRST + layers
        self.vertical = nn.Conv2d(in_channels or channels, width, (FIRST, 2 * FIRST + 1))
        self.horizontal = nn.Conv2d(in_channels or channels, width, (1, FIRST))
        self.layers = nn.ModuleList(Layer(width, maps) for _ in range(layers))
        self.head = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels * width, channels * width, 1, groups=channels),
            nn.SiLU(),
            nn.Conv2d(channels * width, channels * bins, 1, groups=channels),
        )
        glorot(self)
        if channels > 1:
            before = torch.arange(channels) < torch.arange(channels).repeat_interleave(width).unsqueeze(1)
            self.register_buffer("before", before[..., None, None].float(), persistent=False)
            self.previous_channels = nn.Parameter(torch.randn(channels * width, channels, 1, 1) / channels)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        return self.horizontal_stack(x, self.vertical_stack(x, maps))

    def vertical_stack(self, x: Tensor, maps: Tensor) -> list[Tensor]:
        """What each layer reads of the rows above every pixel and of the context: `[N, 2 * width, H, W]` each."""
        vertical, found = self.vertical(functional.pad(2 * x - 1, (FIRST, FIRST, FIRST, 0)))[:, :, :-1], []
        for layer in self.layers:
            vertical, from_vertical = layer.vertical_stack(vertical, maps)
            found.append(from_vertical)
        return found

    def horizontal_stack(self, x: Tensor, vertical: list[Tensor]) -> Tensor:
        """The logits, given the output of `vertical_stack`."""
        horizontal = self.horizontal(functional.pad(2 * x - 1, (FIRST, 0)))[..., :-1]
        for layer, from_vertical in zip(self.layers, vertical, strict=True):
            horizontal = layer.horizontal_stack(horizontal, from_vertical)
        if self.channels > 1:
            horizontal = horizontal.repeat(1, self.channels, 1, 1) + functional.conv2d(
                2 * x - 1, self.previous_channels * self.before
            )
        return self.head(horizontal).unflatten(1, (self.channels, self.bins)).transpose(1, 2)
