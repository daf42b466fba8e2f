"""Sentences whose tokens are drawn one after another, each given those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.nn import functional

from vaekit.distributions.precision import full_precision
from vaekit.spaces import END, PAD, sentence_mask


class Network(Protocol):
    """What is told `[N, T, F]` and the tokens before `[N, T]`, PAD at the start -> logits of all tokens but PAD.

    In two steps: `states` reads, given what the last call of it returned beside the states, the past `[L, N, ...]`,
    None at the start; `logits` `[..., K - 1]` are of states `[..., S]`, of which only those of tokens that count are
    needed.
    """

    def states(self, before: Tensor, told: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]: ...

    def logits(self, states: Tensor) -> Tensor: ...


class Tokens(Distribution):
    """p(x) = prod_t p(x_t | x_1 ... x_t-1) up to and with <eos>, or up to T: the length is a part of what is drawn.

    told: what is known at each place, `[..., T, F]`. Values `[..., T]` are sentences as `vaekit.spaces.Text` has them;
    the padding behind <eos> has probability 1.
    temperature divides the logits; of each token only the likeliest are left that reach `top_p` together (Holtzman et
    al. 2020), of which log_prob knows.
    """

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, network: Network, told: Tensor, temperature: float = 1.0, top_p: float = 1.0):
        self.network, self.told, self.temperature, self.top_p = network, told, temperature, top_p
        super().__init__(told.shape[:-2], told.shape[-2:-1], validate_args=False)

    def expand(self, batch_shape, _instance=None):
        told = self.told.expand(*batch_shape, *self.told.shape[-2:])
        return Tokens(self.network, told, self.temperature, self.top_p)

    def _logits(self, states: Tensor) -> Tensor:
        """Of states `[N, S]`, of all tokens but PAD, `[N, K - 1]`."""
        logits = full_precision(self.network.logits(states))
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.top_p == 1:
            return logits
        p, which = logits.softmax(-1).sort(-1, descending=True)
        enough = p.cumsum(-1) - p >= self.top_p  # those before it are
        return logits.masked_fill(torch.zeros_like(enough).scatter(-1, which, enough), -torch.inf)

    def log_prob(self, value: Tensor) -> Tensor:
        """In one pass over all places."""
        whole = self.expand(torch.broadcast_shapes(self.batch_shape, value.shape[:-1]))
        numbers = value.expand(whole._extended_shape()).reshape(-1, *self.event_shape).long()
        counted = sentence_mask(numbers)
        longest = int(counted.sum(1).max())
        numbers, counted = numbers[:, :longest], counted[:, :longest]
        told = whole.told.reshape(-1, *self.told.shape[-2:])[:, :longest]
        states, _ = self.network.states(functional.pad(numbers[:, :-1], (1, 0), value=PAD), told)
        log_p = -functional.cross_entropy(self._logits(states[counted]), numbers[counted] - 1, reduction="none")
        each = torch.zeros_like(counted, dtype=log_p.dtype).masked_scatter(counted, log_p)
        return each.sum(1).reshape(whole.batch_shape)

    @torch.no_grad()
    def walk(self, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Sentences `[*batch_shape, T]`: `pick(t, logits [N, K - 1])` chooses the token at place t, less 1.

        What it chooses behind <eos> does not count.
        """
        told = self.told.reshape(-1, *self.told.shape[-2:])
        x = torch.full(told.shape[:2], PAD, device=told.device)
        before, past = x[:, :1], None
        running = torch.ones_like(x[:, 0], dtype=torch.bool)
        for t in range(x.shape[1]):
            states, past = self.network.states(before, told[:, t : t + 1], past)
            x[:, t] = torch.where(running, pick(t, self._logits(states[:, 0])) + 1, PAD)
            before, running = x[:, t : t + 1], running & (x[:, t] != END)
            if not running.any():
                break
        return x.reshape(self._extended_shape()).to(self.told.dtype)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()) -> Tensor:
        drawn = self.expand(torch.Size(sample_shape) + self.batch_shape)
        return drawn.walk(lambda t, logits: Categorical(logits=logits, validate_args=False).sample())

    def nucleus(self, top_p: float) -> Tokens:
        """The same with another `top_p`."""
        return Tokens(self.network, self.told, self.temperature, top_p)

    @property
    def mean(self) -> Tensor:
        """What sentences have in place of one: the likeliest of each token given those chosen before it."""
        return self.walk(lambda t, logits: logits.argmax(1))

    mode = mean

    @torch.no_grad()
    def beam(self, width: int) -> Tensor:
        """`[*batch_shape, T]`: the likeliest sentence that a search finds which goes on with `width` beginnings."""
        told = self.told.reshape(-1, *self.told.shape[-2:]).repeat_interleave(width, 0)
        x = torch.full(told.shape[:2], PAD, device=told.device)
        first = torch.arange(len(x) // width, device=x.device).unsqueeze(1) * width
        total = told.new_full((len(first), width), -torch.inf)
        total[:, 0] = 0  # the beginnings are still the same
        before, past = x[:, :1], None
        for t in range(x.shape[1]):
            states, past = self.network.states(before, told[:, t : t + 1], past)
            log_p = functional.pad(self._logits(states[:, 0]).log_softmax(-1), (1, 0), value=-torch.inf)
            ended = x[:, t - 1] <= END if t else torch.zeros_like(x[:, 0], dtype=torch.bool)
            log_p[ended] = -torch.inf
            log_p[ended, PAD] = 0
            total, best = (total.unsqueeze(2) + log_p.unflatten(0, (-1, width))).flatten(1).topk(width)
            rows = (first + best // log_p.shape[1]).flatten()
            x, past = x[rows], past[:, rows]
            x[:, t] = (best % log_p.shape[1]).flatten()
            before = x[:, t : t + 1]
            if (before <= END).all():
                break
        return x[first.squeeze(1)].reshape(self._extended_shape()).to(self.told.dtype)

    def tempered(self, temperature: float) -> Tokens:
        return Tokens(self.network, self.told, self.temperature * temperature, self.top_p)
