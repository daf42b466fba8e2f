"""Gated dilated causal convolutions over a waveform: each sample is conditioned on those before it.

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
    """`[N, width, T]` -> the same shape, from each sample, the one `dilation` before it, and the context.

    Args:
        width: Number of channels.
        maps: Channels of the context.
        dilation: Samples between the two taps of the kernel.
    """

    def __init__(self, width: int, maps: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.gates = nn.Conv1d(width, 2 * width, kernel_size=2, dilation=dilation)
        self.context_proj = nn.Conv1d(maps, 2 * width, kernel_size=1, bias=False)
        self.out = nn.Conv1d(width, width, kernel_size=1)

    def forward(self, h: Tensor, maps: Tensor) -> Tensor:
        return h + self.out(gate(self.gates(pad(h, (self.dilation, 0))) + self.context_proj(maps)))

    def step(self, h: Tensor, before: Tensor, maps: Tensor) -> Tensor:
        """The output `[N, width]` for one sample, given the one `dilation` before it."""
        weight = self.gates.weight
        gates_input = linear(before, weight[..., 0], self.gates.bias) + linear(h, weight[..., 1])
        return h + linear(
            gate(gates_input + linear(maps, self.context_proj.weight[..., 0])), self.out.weight[..., 0], self.out.bias
        )


class WaveNet(nn.Module):
    """Waveforms x `[N, 1, 1, T]` in [0, 1] and a context `maps` `[N, maps, 1, T]` -> logits `[N, bins, 1, 1, T]`.

    The logits of a sample depend on the `receptive_field` = 2**layers samples before it, and on the context there. A
    waveform is treated as an image of one row, whose vertical stack is the context alone.

    Args:
        bins: Number of values of a sample.
        maps: Channels of the context.
        width: Number of channels.
        layers: Number of layers, of dilation 1, 2, 4, ... .

    Example:
        >>> import torch
        >>> from vaekit.networks.wavenet import WaveNet
        >>> network = WaveNet(bins=16, maps=2, width=4, layers=3)
        >>> network(torch.zeros(5, 1, 1, 20), torch.zeros(5, 2, 1, 20)).shape
        torch.Size([5, 16, 1, 1, 20])
    """

    layers: Any  # of `Layer`

    def __init__(self, bins: int, maps: int, width: int, layers: int):
        super().__init__()
        self.receptive_field = 2**layers
        self.first = nn.Conv1d(1, width, kernel_size=1)
        self.layers = nn.ModuleList(Layer(width, maps, 2**i) for i in range(layers))
        self.head = nn.Sequential(
            nn.SiLU(), nn.Conv1d(width, 2 * width, kernel_size=1), nn.SiLU(), nn.Conv1d(2 * width, bins, 1)
        )
        glorot(self)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        return self.horizontal_stack(x, self.vertical_stack(x, maps))

    def vertical_stack(self, x: Tensor, maps: Tensor) -> list[Tensor]:
        return [maps]

    def horizontal_stack(self, x: Tensor, vertical: list[Tensor]) -> Tensor:
        h = self.first(pad(2 * x[:, :, 0] - 1, (1, 0))[..., :-1])
        for layer in self.layers:
            h = layer(h, vertical[0][:, :, 0])
        return self.head(h)[:, :, None, None]

    def memory(self, maps: Tensor) -> list[Tensor]:
        """The cache that `step` keeps: of each layer, the inputs of as many samples as its dilation."""
        width = self.first.out_channels
        return [maps.new_zeros(layer.dilation, len(maps), width) for layer in self.layers]

    def step(self, i: int, x: Tensor, maps: Tensor, memory: list[Tensor]) -> Tensor:
        """The logits `[N, bins]` of the i-th sample, given all before it; x, maps: as of `forward`."""
        before = 2 * x[:, 0, :, i - 1] - 1 if i else torch.zeros_like(x[:, 0, :, 0])
        context = maps[:, :, 0, i].contiguous()
        h = linear(before, self.first.weight[..., 0], self.first.bias)
        for layer, cache in zip(self.layers, memory, strict=True):
            slot = i % layer.dilation
            now, h = h, layer.step(h, cache[slot], context)
            cache[slot] = now
        return self.head(h.unsqueeze(2)).squeeze(2)
