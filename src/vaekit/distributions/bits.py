"""Binary values of any shape that are drawn one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn import functional
from torch.types import _size

from vaekit.distributions.autoregressive import Autoregressive
from vaekit.distributions.precision import full_precision


class Network(Protocol):
    """A module that gives logits `[..., D]` of x, each conditioned on the values before it and a context.

    The context is a list of tensors `[..., D]`. `step` gives the logit `[N]` of value i alone, given all values before
    it; `hidden_units` `[layers, N, D]` is its cache.
    """

    layers: int

    def __call__(self, x: Tensor, context: list[Tensor]) -> Tensor: ...

    def step(self, i: int, x: Tensor, context: list[Tensor], hidden_units: Tensor) -> Tensor: ...


class Bits(Autoregressive):
    """p(x) = prod_i Bernoulli(x_i | x_1 ... x_i-1), in the order in which the values lie in memory.

    `log_prob` takes one pass of the network, a draw one step per value.

    Args:
        network: Gives the logits.
        context: What x is conditioned on: tensors `[..., *event_shape]`.
        batch_shape: The leading dimensions.
        event_shape: Shape of an example.

    Example:
        >>> import torch
        >>> from vaekit.distributions.bits import Bits
        >>> from vaekit.networks.made import MADE, causal_mask
        >>> p = Bits(MADE(causal_mask((4,)), layers=1), 2 * [torch.zeros(5, 4)], torch.Size([5]), torch.Size([4]))
        >>> p.log_prob(p.sample()).shape
        torch.Size([5])
    """

    support = constraints.boolean

    def __init__(self, network: Network, context: list[Tensor], batch_shape: torch.Size, event_shape: torch.Size):
        self.network, self.context = network, context
        super().__init__(batch_shape, event_shape, validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        context = [each.expand(*batch_shape, *self.event_shape) for each in self.context]
        return Bits(self.network, context, torch.Size(batch_shape), self.event_shape)

    def numbers(self, x: Tensor) -> Tensor:
        return x.long()

    def values(self, numbers: Tensor) -> Tensor:
        return numbers.to(self.context[0])

    def logits(self, x: Tensor) -> Tensor:
        """The logits of x `[..., *event_shape]`, which may have further leading dimensions than the batch."""
        flat = -len(self.event_shape)
        logits = self.network(x.flatten(flat), [each.flatten(flat) for each in self.context])
        return full_precision(logits).unflatten(-1, self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return functional.logsigmoid((2 * value - 1) * self.logits(value)).flatten(-len(self.event_shape)).sum(-1)

    @torch.no_grad()
    def sample_sequentially(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        context = [each.reshape(n, -1) for each in self.context]
        x, hidden_units = torch.zeros_like(context[0]), context[0].new_zeros(self.network.layers, *context[0].shape)
        for i in range(x.shape[1]):
            logit = full_precision(self.network.step(i, x, context, hidden_units))
            x[:, i] = pick(i, torch.stack([torch.zeros_like(logit), logit], -1)).to(x)
        return self.numbers(x).unflatten(1, self.event_shape)

    @property
    def mean(self) -> Tensor:
        """The mean of each value given a draw of those before it: an unbiased estimate of the mean, which has no
        formula.

        Its gradient is that of the last step alone, at a fixed draw.
        """
        return self.logits(self.sample()).sigmoid()
