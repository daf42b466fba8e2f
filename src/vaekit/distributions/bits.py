"""Binary values of any shape that are drawn one after another, each given those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn import functional

from vaekit.distributions.autoregressive import Autoregressive
from vaekit.distributions.precision import full_precision


class Network(Protocol):
    """Logits `[..., D]` of values x, each given those before it and what is told, tensors `[..., D]`.

    `at` gives those of place i alone, after those of all places before: `units` is its memory, `[layers, N, D]`.
    """

    layers: int

    def __call__(self, x: Tensor, told: list[Tensor]) -> Tensor: ...

    def at(self, i: int, x: Tensor, told: list[Tensor], units: Tensor) -> Tensor: ...


class Bits(Autoregressive):
    """p(x) = prod_i Bernoulli(x_i | x_1 ... x_i-1), in the order in which the values lie in memory.

    told: what is known of each, tensors `[..., *event_shape]`. log_prob takes one pass of the network.
    """

    support = constraints.boolean

    def __init__(self, network: Network, told: list[Tensor], batch_shape: torch.Size, event_shape: torch.Size):
        self.network, self.told = network, told
        super().__init__(batch_shape, event_shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        told = [each.expand(*batch_shape, *self.event_shape) for each in self.told]
        return Bits(self.network, told, torch.Size(batch_shape), self.event_shape)

    def numbers(self, x: Tensor) -> Tensor:
        return x.long()

    def values(self, numbers: Tensor) -> Tensor:
        return numbers.to(self.told[0])

    def logits(self, x: Tensor) -> Tensor:
        """Of x `[..., *event_shape]`, which may stand for many examples of the batch: theirs."""
        flat = -len(self.event_shape)
        logits = self.network(x.flatten(flat), [each.flatten(flat) for each in self.told])
        return full_precision(logits).unflatten(-1, self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return functional.logsigmoid((2 * value - 1) * self.logits(value)).flatten(-len(self.event_shape)).sum(-1)

    @torch.no_grad()
    def walk(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        told = [each.reshape(n, -1) for each in self.told]
        x, units = torch.zeros_like(told[0]), told[0].new_zeros(self.network.layers, *told[0].shape)
        for i in range(x.shape[1]):
            logit = full_precision(self.network.at(i, x, told, units))
            x[:, i] = pick(i, torch.stack([torch.zeros_like(logit), logit], -1)).to(x)
        return self.numbers(x).unflatten(1, self.event_shape)

    @property
    def mean(self) -> Tensor:
        """Of each value given a draw of those before it: it is random, and on average the mean, which has no formula.

        Its gradient is that of the last step alone, at a fixed draw.
        """
        return self.logits(self.sample()).sigmoid()
