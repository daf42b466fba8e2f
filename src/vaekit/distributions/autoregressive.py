"""Values that are drawn one after another, each given those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from vaekit.distributions.codes import Ordered
from vaekit.entropy_coder import Code


class Autoregressive(Distribution):
    """p(x) = prod_i p(n_i | n_1 ... n_i-1) over the whole numbers n that the values x are made of.

    A subclass has `log_prob`, `mean`, and what is said below of `numbers`, `values` and `walk`.
    """

    arg_constraints = {}

    def numbers(self, x: Tensor) -> Tensor:
        """x `[N, *event_shape]` -> whole numbers `[N, S, ...]`, each of which stands for event_shape[0] / S values."""
        raise NotImplementedError

    def values(self, numbers: Tensor) -> Tensor:
        """`numbers` undone."""
        raise NotImplementedError

    def walk(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Whole numbers `[n, S, ...]`, one after another: `pick(i, logits [n, L])` chooses that at place i of an
        example as it lies in memory, `[n]`. n: of the batch, which has no other.
        """
        raise NotImplementedError

    def walked(self, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Values `[..., *event_shape]` of the whole batch."""
        return self.values(self.walk(self.batch_shape.numel(), pick)).reshape(self._extended_shape())

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()) -> Tensor:
        drawn = self.expand(torch.Size(sample_shape) + self.batch_shape)
        return drawn.walked(lambda i, logits: Categorical(logits=logits, validate_args=False).sample())

    def given(self, value: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Draws `[..., *event_shape]` that have the `value` of numbers that are `known`, and log p of these, `[...]`.

        A number is drawn given those before it alone; the log-probability of each that is known given all before it is
        what the weight of such a draw lacks. Weighted with it, draws are of p(x | what is known).
        """
        n = self.batch_shape.numel()
        x, there = (each.expand(self._extended_shape()).reshape(n, *self.event_shape) for each in (value, known))
        fixed, log_p = self.numbers(x), x.new_zeros(n)
        there = there.unflatten(1, (fixed.shape[1], -1)).all(2).flatten(1)
        fixed = fixed.flatten(1)

        def pick(i: int, logits: Tensor) -> Tensor:
            each = Categorical(logits=logits, validate_args=False)
            chosen = torch.where(there[:, i], fixed[:, i], each.sample())
            log_p.add_(each.log_prob(chosen) * there[:, i])
            return chosen

        return self.walked(pick), log_p.reshape(self.batch_shape)

    @property
    def mode(self) -> Tensor:
        """The likeliest of each number given those chosen before it; the likeliest x may be another."""
        return self.walked(lambda i, logits: logits.argmax(1))

    def code(self, alphabet: Any) -> Code:
        return Ordered(self)
