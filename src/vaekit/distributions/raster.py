"""Images whose pixels are drawn one after another, row by row from the top left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn import functional
from torch.types import _size

from vaekit.distributions.autoregressive import Autoregressive
from vaekit.distributions.precision import full_precision


class Network(Protocol):
    """A module that gives logits `[N, L, S, H, W]` of the S symbols of each pixel, given those before and a context.

    `vertical_stack` reads the rows above; a row depends on the `receptive_field` rows before it. `horizontal_stack`
    reads the pixels to the left in the same row, as many for each pixel. Both read x as given by `network_input` of the
    symbols.
    """

    receptive_field: int

    def vertical_stack(self, x: Tensor, maps: Tensor) -> list[Tensor]: ...

    def horizontal_stack(self, x: Tensor, vertical: list[Tensor]) -> Tensor: ...


@dataclass(frozen=True)
class GrayLevels:
    """x `[N, C, H, W]` on the gray values 0, 1/(L-1), ..., 1: one symbol for each channel of a pixel.

    Args:
        channels: C.
        bins: Number L of gray values.

    Example:
        >>> import torch
        >>> from vaekit.distributions.raster import GrayLevels
        >>> GrayLevels(1, 5).numbers(torch.full((1, 1, 1, 2), 0.25))
        tensor([[[[1, 1]]]])
    """

    channels: int
    bins: int

    def numbers(self, x: Tensor) -> Tensor:
        return (x * (self.bins - 1)).round().long()

    def possible(self, x: Tensor) -> Tensor | None:
        return None

    def values(self, numbers: Tensor) -> Tensor:
        return numbers / (self.bins - 1)

    def network_input(self, x: Tensor) -> Tensor:
        return x

    def mean(self, p: Tensor, x: Tensor) -> Tensor:
        """The mean of each value, given its probabilities p `[N, L, C, H, W]` after those before it in the draw x."""
        return torch.einsum("nlchw,l->nchw", p, torch.linspace(0, 1, self.bins, dtype=p.dtype, device=p.device))


@dataclass(frozen=True)
class OneHot:
    """x `[N, C, H, W]` as one-hot maps: one symbol of C for each pixel.

    For each pixel the network also reads which symbols have occurred up to it, at any distance.

    Args:
        channels: C.

    Example:
        >>> import torch
        >>> from vaekit.distributions.raster import OneHot
        >>> OneHot(3).values(torch.tensor([[[[2]]]])).flatten()
        tensor([0., 0., 1.])
    """

    channels: int

    def numbers(self, x: Tensor) -> Tensor:
        return x.argmax(1, keepdim=True)

    def possible(self, x: Tensor) -> Tensor | None:
        """Which pixels have a symbol, `[N, 1, H, W]`."""
        return x.amax(1, keepdim=True) > 0

    def values(self, numbers: Tensor) -> Tensor:
        return functional.one_hot(numbers.squeeze(1), self.channels).movedim(-1, 1).float()

    def network_input(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.flatten(2).cumsum(2).clamp(max=1).reshape(x.shape)], 1)

    def mean(self, p: Tensor, x: Tensor) -> Tensor:
        """The draw itself, because the mean of one-hot maps is not one-hot."""
        return x


class Raster(Autoregressive):
    """p(x) = prod_i p(x_i | x_1 ... x_i-1): pixels in rows from the top left, and symbol after symbol in each.

    `log_prob` takes one pass of the network. A draw takes H passes of its vertical stack, and one of its horizontal
    stack for each symbol.

    Args:
        network: Gives the logits.
        maps: What each image is conditioned on, `[..., F, H, W]`.
        symbols: What values `[..., C, H, W]` are made of.

    Example:
        >>> import torch
        >>> from vaekit.distributions.raster import GrayLevels, Raster
        >>> from vaekit.networks.pixelcnn import PixelCNN
        >>> network = PixelCNN(channels=1, bins=4, maps=2, width=4, layers=1)
        >>> p = Raster(network, torch.zeros(5, 2, 3, 3), GrayLevels(1, 4))
        >>> p.sample().shape, p.log_prob(p.sample()).shape
        (torch.Size([5, 1, 3, 3]), torch.Size([5]))
    """

    support = constraints.unit_interval

    def __init__(self, network: Network, maps: Tensor, symbols: GrayLevels | OneHot):
        self.network, self.maps, self.symbols = network, maps, symbols
        event_shape = torch.Size((symbols.channels, *maps.shape[-2:]))
        super().__init__(maps.shape[:-3], event_shape, validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return type(self)(self.network, self.maps.expand(*batch_shape, *self.maps.shape[-3:]), self.symbols)

    def numbers(self, x: Tensor) -> Tensor:
        return self.symbols.numbers(x)

    def values(self, numbers: Tensor) -> Tensor:
        return self.symbols.values(numbers).to(self.maps)

    def _logits(self, x: Tensor, maps: Tensor) -> Tensor:
        """Logits `[N, L, S, H, W]` of x `[N, C, H, W]`."""
        x = self.symbols.network_input(x)
        return full_precision(self.network.horizontal_stack(x, self.network.vertical_stack(x, maps)))

    def log_prob(self, value: Tensor) -> Tensor:
        whole = self.expand(torch.broadcast_shapes(self.batch_shape, value.shape[:-3]))
        x = value.expand(whole._extended_shape()).reshape(-1, *self.event_shape)
        logits = self._logits(x, whole.maps.reshape(-1, *self.maps.shape[-3:]))
        each = functional.cross_entropy(logits, self.numbers(x), reduction="none")
        if (possible := self.symbols.possible(x)) is not None:
            each = each.masked_fill(~possible, torch.inf)
        return -each.flatten(1).sum(1).reshape(whole.batch_shape)

    @torch.no_grad()
    def sample_sequentially(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        maps, receptive_field = self.maps.reshape(n, *self.maps.shape[-3:]), self.network.receptive_field
        x = maps.new_zeros(n, *self.event_shape)
        numbers = self.numbers(x)
        _, symbols, height, width = numbers.shape
        for row in range(height):
            rows = slice(max(0, row - receptive_field), row + 1)
            in_rows = self.symbols.network_input(x)[:, :, rows]
            vertical = [each[:, :, -1:] for each in self.network.vertical_stack(in_rows, maps[:, :, rows])]
            for column in range(width):
                seen = slice(max(0, column - receptive_field), column + 1)
                above = [each[..., seen] for each in vertical]
                for symbol in range(symbols):
                    in_row = self.symbols.network_input(x)[:, :, row : row + 1, seen]
                    logits = self.network.horizontal_stack(in_row, above)[:, :, symbol, 0, -1]
                    i = (symbol * height + row) * width + column
                    numbers[:, symbol, row, column] = pick(i, full_precision(logits))
                    x[:, :, row, column] = self.symbols.values(numbers[:, :, row, column])
        return numbers

    @property
    def mean(self) -> Tensor:
        """The mean of each value given a draw of those before it: an unbiased estimate of the mean, which has no
        formula.

        Its gradient is that of the last step alone, at a fixed draw. For one-hot maps it is the draw.
        """
        x = self.sample().reshape(-1, *self.event_shape)
        p = self._logits(x, self.maps.reshape(-1, *self.maps.shape[-3:])).softmax(1)
        return self.symbols.mean(p, x).reshape(self._extended_shape())
