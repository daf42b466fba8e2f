"""Waveforms whose samples are drawn one after another."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from vaekit.distributions import raster
from vaekit.distributions.precision import full_precision


class Network(raster.Network, Protocol):
    """A raster network with a cache: `step` gives the logits `[N, L]` of sample i, given all samples before it.

    x and maps are whole: `[N, 1, 1, T]` and `[N, F, 1, T]`.
    """

    def memory(self, maps: Tensor) -> list[Tensor]: ...

    def step(self, i: int, x: Tensor, maps: Tensor, memory: list[Tensor]) -> Tensor: ...


class Wave(raster.Raster):
    """An image of one row whose network has a long receptive field: a draw takes one cached step per sample.

    Args of the constructor are those of `Raster`.

    Example:
        >>> import torch
        >>> from vaekit.distributions.raster import GrayLevels
        >>> from vaekit.distributions.wave import Wave
        >>> from vaekit.networks.wavenet import WaveNet
        >>> p = Wave(WaveNet(bins=16, maps=2, width=4, layers=3), torch.zeros(5, 2, 1, 20), GrayLevels(1, 16))
        >>> p.sample().shape
        torch.Size([5, 1, 1, 20])
    """

    network: Network

    @torch.no_grad()
    def sample_sequentially(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        maps = self.maps.reshape(n, *self.maps.shape[-3:])
        x, memory = maps.new_zeros(n, *self.event_shape), self.network.memory(maps)
        numbers = self.numbers(x)
        for i in range(x.shape[-1]):
            numbers[..., i] = pick(i, full_precision(self.network.step(i, x, maps, memory)))[:, None, None]
            x[..., i] = self.values(numbers[..., i])
        return numbers
