"""Sounds whose samples are drawn one after another, each given those before it."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from vaekit.distributions import raster
from vaekit.distributions.precision import full_precision


class Network(raster.Network, Protocol):
    """One that remembers: `at` gives the logits `[N, L]` of value i, after those of all before it; x, maps: all there
    are, `[N, 1, 1, T]` and `[N, F, 1, T]`.
    """

    def memory(self, maps: Tensor) -> list[Tensor]: ...

    def at(self, i: int, x: Tensor, maps: Tensor, memory: list[Tensor]) -> Tensor: ...


class Wave(raster.Raster):
    """An image of one row, whose network looks far back: a draw takes a step of it a value, and no pass."""

    network: Network

    @torch.no_grad()
    def walk(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        maps = self.maps.reshape(n, *self.maps.shape[-3:])
        x, memory = maps.new_zeros(n, *self.event_shape), self.network.memory(maps)
        numbers = self.numbers(x)
        for i in range(x.shape[-1]):
            numbers[..., i] = pick(i, full_precision(self.network.at(i, x, maps, memory)))[:, None, None]
            x[..., i] = self.values(numbers[..., i])
        return numbers
