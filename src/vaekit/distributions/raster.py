"""Images whose pixels are drawn one after another, each given those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn import functional

from vaekit.distributions.autoregressive import Autoregressive
from vaekit.distributions.precision import full_precision


class Network(Protocol):
    """Logits `[N, L, S, H, W]` of the S symbols of each pixel, given what comes before each of them, and maps.

    In two steps: `above` is of the rows above, of which a row needs the `reach` rows before it; `beside` of what stands
    to the left in the row, of which a pixel needs as many. Both read x as the symbols show it.
    """

    reach: int

    def above(self, x: Tensor, maps: Tensor) -> list[Tensor]: ...

    def beside(self, x: Tensor, above: list[Tensor]) -> Tensor: ...


@dataclass(frozen=True)
class GrayLevels:
    """x `[N, C, H, W]` on the grey levels 0, 1/(L-1), ..., 1: a symbol in each channel."""

    channels: int
    levels: int

    def numbers(self, x: Tensor) -> Tensor:
        return (x * (self.levels - 1)).round().long()

    def possible(self, x: Tensor) -> Tensor | None:
        return None

    def values(self, numbers: Tensor) -> Tensor:
        return numbers / (self.levels - 1)

    def shown(self, x: Tensor) -> Tensor:
        return x

    def mean(self, p: Tensor, x: Tensor) -> Tensor:
        """Of each value, by the probabilities p `[N, L, C, H, W]` that it has given those before it in the draw x."""
        return torch.einsum("nlchw,l->nchw", p, torch.linspace(0, 1, self.levels, dtype=p.dtype, device=p.device))


@dataclass(frozen=True)
class OneHot:
    """x `[N, C, H, W]` as one-hot maps: one symbol of C a pixel.

    With each pixel it is shown which symbols stand up to it, however far away.
    """

    channels: int

    def numbers(self, x: Tensor) -> Tensor:
        return x.argmax(1, keepdim=True)

    def possible(self, x: Tensor) -> Tensor | None:
        """Which pixels have a symbol, `[N, 1, H, W]`; None for all."""
        return x.amax(1, keepdim=True) > 0

    def values(self, numbers: Tensor) -> Tensor:
        return functional.one_hot(numbers.squeeze(1), self.channels).movedim(-1, 1).float()

    def shown(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.flatten(2).cumsum(2).clamp(max=1).reshape(x.shape)], 1)

    def mean(self, p: Tensor, x: Tensor) -> Tensor:
        """The draw itself: between symbols there is nothing, and what fits together in x does not in its means."""
        return x


class Raster(Autoregressive):
    """p(x) = prod_i p(x_i | x_1 ... x_i-1): pixel after pixel in rows from the top left, in each symbol after symbol.

    maps: what is known of each image, `[..., F, H, W]`. Values `[..., C, H, W]` are made of `symbols`.
    log_prob takes one pass of the network, a draw H of one kind and one of the other for each symbol.
    """

    support = constraints.unit_interval

    def __init__(self, network: Network, maps: Tensor, symbols: GrayLevels | OneHot):
        self.network, self.maps, self.symbols = network, maps, symbols
        event_shape = torch.Size((symbols.channels, *maps.shape[-2:]))
        super().__init__(maps.shape[:-3], event_shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        return type(self)(self.network, self.maps.expand(*batch_shape, *self.maps.shape[-3:]), self.symbols)

    def numbers(self, x: Tensor) -> Tensor:
        return self.symbols.numbers(x)

    def values(self, numbers: Tensor) -> Tensor:
        return self.symbols.values(numbers).to(self.maps)

    def _logits(self, x: Tensor, maps: Tensor) -> Tensor:
        """Of x `[N, C, H, W]`: `[N, L, S, H, W]`."""
        shown = self.symbols.shown(x)
        return full_precision(self.network.beside(shown, self.network.above(shown, maps)))

    def log_prob(self, value: Tensor) -> Tensor:
        whole = self.expand(torch.broadcast_shapes(self.batch_shape, value.shape[:-3]))
        x = value.expand(whole._extended_shape()).reshape(-1, *self.event_shape)
        logits = self._logits(x, whole.maps.reshape(-1, *self.maps.shape[-3:]))
        each = functional.cross_entropy(logits, self.numbers(x), reduction="none")
        if (possible := self.symbols.possible(x)) is not None:
            each = each.masked_fill(~possible, torch.inf)
        return -each.flatten(1).sum(1).reshape(whole.batch_shape)

    @torch.no_grad()
    def walk(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        maps, reach = self.maps.reshape(n, *self.maps.shape[-3:]), self.network.reach
        x = maps.new_zeros(n, *self.event_shape)
        numbers = self.numbers(x)
        _, symbols, height, width = numbers.shape
        for row in range(height):
            rows = slice(max(0, row - reach), row + 1)
            shown = self.symbols.shown(x)[:, :, rows]
            above = [each[:, :, -1:] for each in self.network.above(shown, maps[:, :, rows])]
            for column in range(width):
                seen = slice(max(0, column - reach), column + 1)
                told = [each[..., seen] for each in above]
                for symbol in range(symbols):
                    shown = self.symbols.shown(x)[:, :, row : row + 1, seen]
                    logits = self.network.beside(shown, told)[:, :, symbol, 0, -1]
                    i = (symbol * height + row) * width + column
                    numbers[:, symbol, row, column] = pick(i, full_precision(logits))
                    x[:, :, row, column] = self.symbols.values(numbers[:, :, row, column])
        return numbers

    @property
    def mean(self) -> Tensor:
        """Of each value given a draw of those before it: it is random, and on average the mean, which has no formula.

        Its gradient is that of the last step alone, at a fixed draw. Of one-hot maps it is the draw.
        """
        x = self.sample().reshape(-1, *self.event_shape)
        p = self._logits(x, self.maps.reshape(-1, *self.maps.shape[-3:])).softmax(1)
        return self.symbols.mean(p, x).reshape(self._extended_shape())
