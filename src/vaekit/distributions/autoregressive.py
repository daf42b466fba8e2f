"""The base class of distributions whose values are drawn one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.types import _size

from vaekit.distributions.codes import Ordered
from vaekit.entropy_coder import Code


class Autoregressive(Distribution):
    """p(x) = prod_i p(n_i | n_1 ... n_i-1) over the integers n that represent the values x.

    A subclass has `log_prob`, `mean`, `numbers`, `values` and `sample_sequentially`.
    """

    arg_constraints = {}

    def numbers(self, x: Tensor) -> Tensor:
        """x `[N, *event_shape]` as integers `[N, S, ...]`, each of which represents event_shape[0] / S values."""
        raise NotImplementedError

    def values(self, numbers: Tensor) -> Tensor:
        """The inverse of `numbers`."""
        raise NotImplementedError

    def sample_sequentially(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Integers `[n, S, ...]`, chosen one after another.

        Args:
            n: Size of the batch, which has one dimension.
            pick: `pick(i, logits [n, L])` chooses the i-th integer of each example, in the order of memory, `[n]`.
        """
        raise NotImplementedError

    def sample_values(self, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Values `[..., *event_shape]` of the whole batch, chosen by `pick`."""
        return self.values(self.sample_sequentially(self.batch_shape.numel(), pick)).reshape(self._extended_shape())

    @torch.no_grad()
    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        drawn = self.expand(torch.Size(sample_shape) + self.batch_shape)
        return drawn.sample_values(lambda i, logits: Categorical(logits=logits, validate_args=False).sample())

    def sample_given(self, value: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Draws that keep the known values, and their log-probability.

        An unknown integer is drawn given only those before it. Weighted by the returned probability of the known ones,
        each given all before it, the draws follow p(x | known values).

        Args:
            value: `[..., *event_shape]`.
            known: True where `value` is to be kept, in the same shape.

        Returns:
            Draws `[..., *event_shape]` and log-probabilities `[...]`, in nats.
        """
        n = self.batch_shape.numel()
        x, observed = (each.expand(self._extended_shape()).reshape(n, *self.event_shape) for each in (value, known))
        fixed, log_p = self.numbers(x), x.new_zeros(n)
        observed = observed.unflatten(1, (fixed.shape[1], -1)).all(2).flatten(1)
        fixed = fixed.flatten(1)

        def pick(i: int, logits: Tensor) -> Tensor:
            each = Categorical(logits=logits, validate_args=False)
            chosen = torch.where(observed[:, i], fixed[:, i], each.sample())
            log_p.add_(each.log_prob(chosen) * observed[:, i])
            return chosen

        return self.sample_values(pick), log_p.reshape(self.batch_shape)

    def impute(self, value: Tensor, observed: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draws that keep the observed values, and log p of the observed values and of hidden ones given these.

        Args:
            value: `[..., *event_shape]`.
            observed: Which values are kept, in the same shape.
            hidden: Which others are scored; by default all of them.

        Returns:
            `[..., *event_shape]`, and `[...]` each, nats.
        """
        x, log_p = self.sample_given(value, observed)
        return x, log_p, self.log_prob(value) - log_p

    @property
    def mode(self) -> Tensor:
        """The most probable integer given those chosen before it, one after another; not always the most probable x."""
        return self.sample_values(lambda i, logits: logits.argmax(1))

    def code(self, alphabet: Any) -> Code:
        return Ordered(self)
