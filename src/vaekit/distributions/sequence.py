"""Sequences of integers that are drawn one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.types import _size

from vaekit.distributions.codes import Ordered
from vaekit.distributions.temperature import divided
from vaekit.entropy_coder import Code

CHUNK = 2**24  # logits computed at once


class Network(Protocol):
    """A module that gives the logits `[N, T, K]` of the next T integers, given the integer before each, `[N, T]`.

    past: What the last call returned with the logits; None at the start, where the first integer before is ignored.
    """

    atoms: int

    def parameters(self) -> Iterator[Tensor]: ...

    def __call__(self, before: Tensor, past: Any = None) -> tuple[Tensor, Any]: ...


class Sequence(Distribution):
    """p(n_1) p(n_2 | n_1) ... over integers `[*positions]`, in the order in which they lie in memory.

    Args:
        network: Gives the logits.
        positions: Shape of an event.
        batch_shape: Shape of the batch, all with the same distribution.
        temperature: Divides the logits; at 0 each integer is the most probable one given those before it.

    Example:
        >>> from vaekit.distributions.sequence import Sequence
        >>> from vaekit.priors.autoregressive import Transformer
        >>> p = Sequence(Transformer(atoms=4, length=6, width=8, blocks=1, heads=2), (2, 3))
        >>> p.log_prob(p.sample((5,))).shape
        torch.Size([5])
    """

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, network: Network, positions: tuple[int, ...], batch_shape: _size = (), temperature: float = 1.0):
        self.network, self.temperature = network, temperature
        super().__init__(torch.Size(batch_shape), torch.Size(positions), validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return Sequence(self.network, self.event_shape, batch_shape, self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        """In one pass over all positions."""
        flat = value.reshape(-1, self.event_shape.numel())
        rows = max(1, CHUNK // (flat.shape[1] * self.network.atoms))
        log_p = torch.cat([self._log_prob(part) for part in flat.split(rows)])
        return log_p.reshape(value.shape[: value.dim() - len(self.event_shape)])

    def _log_prob(self, numbers: Tensor) -> Tensor:
        logits, _ = self.network(numbers.roll(1, 1))
        log_p = divided(logits, self.temperature).log_softmax(-1)
        return log_p.gather(-1, numbers.unsqueeze(-1)).squeeze(-1).sum(1)

    @torch.no_grad()
    def sample_sequentially(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """n sequences `[n, *positions]`: `pick(i, logits [n, K])` chooses the i-th integer, `[n]`."""
        device = next(self.network.parameters()).device
        past, numbers = None, [torch.zeros(n, dtype=torch.long, device=device)]
        for i in range(self.event_shape.numel()):
            logits, past = self.network(numbers[-1].unsqueeze(1), past)
            numbers.append(pick(i, divided(logits[:, 0], self.temperature)))
        return torch.stack(numbers[1:], 1).unflatten(1, self.event_shape)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        n = shape.numel() // self.event_shape.numel()

        def pick(i: int, logits: Tensor) -> Tensor:
            return Categorical(logits=logits, validate_args=False).sample()

        return self.sample_sequentially(n, pick).reshape(shape)

    def tempered(self, temperature: float) -> Sequence:
        return Sequence(self.network, self.event_shape, self.batch_shape, self.temperature * temperature)

    def code(self, alphabet: Any) -> Code:
        return Ordered(self)
