"""Images whose pixels are drawn one after another, each given those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.nn import functional

from vaekit.distributions.precision import full_precision


class Network(Protocol):
    """Logits `[N, L, C, H, W]` of the grey levels of x `[N, C, H, W]`, given what comes before each value, and maps.

    In two steps: `above` is of the rows above, of which a row needs the `reach` rows before it; `beside` of what stands
    to the left in the row, of which a pixel needs as many.
    """

    reach: int

    def above(self, x: Tensor, maps: Tensor) -> list[Tensor]: ...

    def beside(self, x: Tensor, above: list[Tensor]) -> Tensor: ...


class Raster(Distribution):
    """p(x) = prod_i p(x_i | x_1 ... x_i-1): pixel after pixel in rows from the top left, in each channel after channel.

    maps: what is known of each image, `[..., F, H, W]`. Values `[..., C, H, W]` on the grey levels 0, 1/(L-1), ..., 1.
    log_prob takes one pass of the network, a draw H of one kind and H * W * C of the other.
    """

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, network: Network, maps: Tensor, channels: int, levels: int):
        self.network, self.maps, self.levels = network, maps, levels
        super().__init__(maps.shape[:-3], torch.Size((channels, *maps.shape[-2:])), validate_args=False)

    def expand(self, batch_shape, _instance=None):
        maps = self.maps.expand(*batch_shape, *self.maps.shape[-3:])
        return Raster(self.network, maps, self.event_shape[0], self.levels)

    def _logits(self, x: Tensor, maps: Tensor) -> Tensor:
        """Of x `[N, C, H, W]`: `[N, L, C, H, W]`."""
        return full_precision(self.network.beside(x, self.network.above(x, maps)))

    def log_prob(self, value: Tensor) -> Tensor:
        whole = self.expand(torch.broadcast_shapes(self.batch_shape, value.shape[:-3]))
        x = value.expand(whole._extended_shape()).reshape(-1, *self.event_shape)
        logits = self._logits(x, whole.maps.reshape(-1, *self.maps.shape[-3:]))
        index = (x * (self.levels - 1)).round().long()
        each = functional.cross_entropy(logits, index, reduction="none")
        return -each.flatten(1).sum(1).reshape(whole.batch_shape)

    @torch.no_grad()
    def walk(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Whole numbers `[n, C, H, W]`, value after value: `pick(i, logits [n, L])` chooses that at place i of an image
        as it lies in memory, `[n]`. n: of the batch, which has no other.
        """
        channels, height, width = self.event_shape
        maps, reach = self.maps.reshape(n, -1, height, width), self.network.reach
        numbers = torch.zeros(n, *self.event_shape, dtype=torch.long, device=maps.device)
        x = maps.new_zeros(numbers.shape)
        for row in range(height):
            rows = slice(max(0, row - reach), row + 1)
            above = [each[:, :, -1:] for each in self.network.above(x[:, :, rows], maps[:, :, rows])]
            for column in range(width):
                seen = slice(max(0, column - reach), column + 1)
                told = [each[..., seen] for each in above]
                for channel in range(channels):
                    logits = self.network.beside(x[:, :, row : row + 1, seen], told)[:, :, channel, 0, -1]
                    chosen = pick((channel * height + row) * width + column, full_precision(logits))
                    numbers[:, channel, row, column] = chosen
                    x[:, channel, row, column] = chosen.to(x) / (self.levels - 1)
        return numbers

    def _walked(self, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """`[..., C, H, W]`, values in [0, 1]."""
        numbers = self.walk(self.batch_shape.numel(), pick)
        return numbers.reshape(self._extended_shape()).to(self.maps) / (self.levels - 1)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()) -> Tensor:
        drawn = self.expand(torch.Size(sample_shape) + self.batch_shape)
        return drawn._walked(lambda i, logits: Categorical(logits=logits, validate_args=False).sample())

    @property
    def mean(self) -> Tensor:
        """Of each value given a draw of those before it: it is random, and on average the mean, which has no formula.

        Its gradient is that of the last step alone, at a fixed draw.
        """
        x = self.sample().reshape(-1, *self.event_shape)
        p = self._logits(x, self.maps.reshape(-1, *self.maps.shape[-3:])).softmax(1)
        levels = torch.linspace(0, 1, self.levels, dtype=p.dtype, device=p.device)
        return torch.einsum("nlchw,l->nchw", p, levels).reshape(self._extended_shape())

    @property
    def mode(self) -> Tensor:
        """The likeliest of each value given those chosen before it; the likeliest image may be another."""
        return self._walked(lambda i, logits: logits.argmax(1))
