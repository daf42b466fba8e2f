"""Gated masked convolutions: what a pixel is told by those before it, row by row from the top left.

Two stacks, one of the rows above and one of the pixels to the left, so that nothing before a pixel stays unseen. What
is not to be seen is left out of the kernels rather than multiplied by 0.

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
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class Layer(nn.Module):
    """`down` of the rows above and `right` of the pixels to the left, `[N, width, H, W]` each, one pixel further."""

    def __init__(self, width: int, maps: int):
        super().__init__()
        self.vertical = nn.Conv2d(width, 2 * width, (2, 3))
        self.context_proj = nn.Conv2d(maps, 2 * width, 1, bias=False)
        self.vertical_to_horizontal = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = nn.Conv2d(width, 2 * width, (1, 2), bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def above(self, down: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The stack of the rows above, further down, and what the other one reads of it."""
        whole = self.vertical(functional.pad(down, (1, 1, 1, 0))) + self.context_proj(maps)
        return gate(whole), self.vertical_to_horizontal(whole)

    def beside(self, right: Tensor, across: Tensor) -> Tensor:
        return right + self.out(gate(self.horizontal(functional.pad(right, (1, 0))) + across))


class PixelCNN(nn.Module):
    """Images x `[N, C, H, W]`, values in [0, 1], and maps `[N, maps, H, W]` -> logits `[N, levels, C, H, W]`.

    Those of a pixel read all maps around it, the pixels before it, and, of a channel, the channels before that at the
    same pixel. reach: how far it sees, to the left, to the right and up. inputs: where x has more numbers a pixel than
    the one channel that the logits are of.
    """

    before: Tensor
    layers: Any  # of `Layer`

    def __init__(self, channels: int, levels: int, maps: int, width: int, layers: int, inputs: int | None = None):
        super().__init__()
        self.channels, self.levels, self.reach = channels, levels, FIRST + layers
        self.vertical = nn.Conv2d(inputs or channels, width, (FIRST, 2 * FIRST + 1))
        self.horizontal = nn.Conv2d(inputs or channels, width, (1, FIRST))
        self.layers = nn.ModuleList(Layer(width, maps) for _ in range(layers))
        self.head = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels * width, channels * width, 1, groups=channels),
            nn.SiLU(),
            nn.Conv2d(channels * width, channels * levels, 1, groups=channels),
        )
        glorot(self)
        if channels > 1:
            before = torch.arange(channels) < torch.arange(channels).repeat_interleave(width).unsqueeze(1)
            self.register_buffer("before", before[..., None, None].float(), persistent=False)
            self.previous_channels = nn.Parameter(torch.randn(channels * width, channels, 1, 1) / channels)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        return self.beside(x, self.above(x, maps))

    def above(self, x: Tensor, maps: Tensor) -> list[Tensor]:
        """What each layer is told by the rows above every pixel, and by the maps: `[N, 2 * width, H, W]` each."""
        down, found = self.vertical(functional.pad(2 * x - 1, (FIRST, FIRST, FIRST, 0)))[:, :, :-1], []
        for layer in self.layers:
            down, across = layer.above(down, maps)
            found.append(across)
        return found

    def beside(self, x: Tensor, above: list[Tensor]) -> Tensor:
        """The logits, given what the rows above tell."""
        right = self.horizontal(functional.pad(2 * x - 1, (FIRST, 0)))[..., :-1]
        for layer, across in zip(self.layers, above, strict=True):
            right = layer.beside(right, across)
        if self.channels > 1:
            right = right.repeat(1, self.channels, 1, 1) + functional.conv2d(
                2 * x - 1, self.previous_channels * self.before
            )
        return self.head(right).unflatten(1, (self.channels, self.levels)).transpose(1, 2)
