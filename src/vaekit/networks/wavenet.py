"""Dilated causal convolutions with gates over the samples of a wave: what each is told by those before it.

References:
    Aäron van den Oord et al. WaveNet: A Generative Model for Raw Audio. arXiv 2016. https://arxiv.org/abs/1609.03499
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from vaekit.networks.glorot import glorot
from vaekit.networks.pixelcnn import gate


class Layer(nn.Module):
    """`[N, width, T]` -> the same shape, of each sample and of that `dilation` before it."""

    def __init__(self, width: int, maps: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.gates = nn.Conv1d(width, 2 * width, kernel_size=2, dilation=dilation)
        self.context_proj = nn.Conv1d(maps, 2 * width, kernel_size=1, bias=False)
        self.out = nn.Conv1d(width, width, kernel_size=1)

    def forward(self, h: Tensor, maps: Tensor) -> Tensor:
        return h + self.out(gate(self.gates(pad(h, (self.dilation, 0))) + self.context_proj(maps)))

    def at(self, h: Tensor, before: Tensor, maps: Tensor) -> Tensor:
        """One sample, `[N, width]`, and that `dilation` before it."""
        weight = self.gates.weight
        told = linear(before, weight[..., 0], self.gates.bias) + linear(h, weight[..., 1])
        return h + linear(
            gate(told + linear(maps, self.context_proj.weight[..., 0])), self.out.weight[..., 0], self.out.bias
        )


class WaveNet(nn.Module):
    """Waves x `[N, 1, 1, T]`, values in [0, 1], and maps `[N, maps, 1, T]` -> logits `[N, levels, 1, 1, T]`.

    Those of a sample read the `reach` samples before it, 2**layers, and the maps of these and its own. A wave is an
    image of one row: what stands above it is the maps.
    """

    layers: Any  # of `Layer`

    def __init__(self, levels: int, maps: int, width: int, layers: int):
        super().__init__()
        self.reach = 2**layers
        self.first = nn.Conv1d(1, width, kernel_size=1)
        self.layers = nn.ModuleList(Layer(width, maps, 2**i) for i in range(layers))
        self.head = nn.Sequential(
            nn.SiLU(), nn.Conv1d(width, 2 * width, kernel_size=1), nn.SiLU(), nn.Conv1d(2 * width, levels, 1)
        )
        glorot(self)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        return self.beside(x, self.above(x, maps))

    def above(self, x: Tensor, maps: Tensor) -> list[Tensor]:
        return [maps]

    def beside(self, x: Tensor, above: list[Tensor]) -> Tensor:
        h = self.first(pad(2 * x[:, :, 0] - 1, (1, 0))[..., :-1])
        for layer in self.layers:
            h = layer(h, above[0][:, :, 0])
        return self.head(h)[:, :, None, None]

    def memory(self, maps: Tensor) -> list[Tensor]:
        """What `at` keeps of the samples before: of each layer, as many as it looks back."""
        width = self.first.out_channels
        return [maps.new_zeros(layer.dilation, len(maps), width) for layer in self.layers]

    def at(self, i: int, x: Tensor, maps: Tensor, memory: list[Tensor]) -> Tensor:
        """The logits `[N, levels]` of the i-th sample, after those of all before it; x, maps: as of `forward`."""
        before = 2 * x[:, 0, :, i - 1] - 1 if i else torch.zeros_like(x[:, 0, :, 0])
        here = maps[:, :, 0, i].contiguous()
        h = linear(before, self.first.weight[..., 0], self.first.bias)
        for layer, kept in zip(self.layers, memory, strict=True):
            place = i % layer.dilation
            now, h = h, layer.at(h, kept[place], here)
            kept[place] = now
        return self.head(h.unsqueeze(2)).squeeze(2)
