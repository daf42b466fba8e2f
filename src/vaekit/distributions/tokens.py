"""Sentences whose tokens are drawn one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.nn import functional
from torch.types import _size

from vaekit.distributions.precision import full_precision
from vaekit.spaces import END, PAD, sentence_mask


class Network(Protocol):
    """A module that gives the logits of the next token, given a context `[N, T, F]` and the tokens before, `[N, T]`.

    The first token before is PAD. `states` gives states and the past `[L, N, ...]`, which the next call continues from;
    None at the start. `logits` maps states `[..., S]` to logits of all tokens but PAD, `[..., K - 1]`; it is called
    only for tokens that count.
    """

    def states(self, before: Tensor, context: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]: ...

    def logits(self, states: Tensor) -> Tensor: ...


class Tokens(Distribution):
    """p(x) = prod_t p(x_t | x_1 ... x_t-1) up to and including <eos>, or up to T.

    Values `[..., T]` are sentences as in `vaekit.spaces.Text`; their length is part of the draw, and the padding after
    <eos> has probability 1.

    Args:
        network: Gives the logits.
        context: What each position is conditioned on, `[..., T, F]`.
        temperature: Divides the logits.
        top_p: Only the most probable tokens that together reach this probability are kept (Holtzman et al. 2020);
            `log_prob` takes that into account.

    Example:
        >>> import torch
        >>> from vaekit.data.text import learn
        >>> from vaekit.distributions.tokens import Tokens
        >>> from vaekit.spaces import Text
        >>> from vaekit.writers.recurrent import Recurrent
        >>> space = Text((6,), learn(["a man", "two men"]))
        >>> p = Tokens(Recurrent(space, 3, width=8, embedding=4), torch.zeros(5, 6, 3))
        >>> p.sample().shape, p.log_prob(p.sample()).shape
        (torch.Size([5, 6]), torch.Size([5]))
    """

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, network: Network, context: Tensor, temperature: float = 1.0, top_p: float = 1.0):
        self.network, self.context, self.temperature, self.top_p = network, context, temperature, top_p
        super().__init__(context.shape[:-2], context.shape[-2:-1], validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        context = self.context.expand(*batch_shape, *self.context.shape[-2:])
        return Tokens(self.network, context, self.temperature, self.top_p)

    def _logits(self, states: Tensor) -> Tensor:
        """Logits `[N, K - 1]` of all tokens except PAD, given hidden states `[N, S]`."""
        logits = full_precision(self.network.logits(states))
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.top_p == 1:
            return logits
        p, which = logits.softmax(-1).sort(-1, descending=True)
        enough = p.cumsum(-1) - p >= self.top_p  # the tokens before already reach top_p
        return logits.masked_fill(torch.zeros_like(enough).scatter(-1, which, enough), -torch.inf)

    def log_prob(self, value: Tensor) -> Tensor:
        """In one pass over all positions."""
        whole = self.expand(torch.broadcast_shapes(self.batch_shape, value.shape[:-1]))
        numbers = value.expand(whole._extended_shape()).reshape(-1, *self.event_shape).long()
        counted = sentence_mask(numbers)
        longest = int(counted.sum(1).max())
        numbers, counted = numbers[:, :longest], counted[:, :longest]
        context = whole.context.reshape(-1, *self.context.shape[-2:])[:, :longest]
        states, _ = self.network.states(functional.pad(numbers[:, :-1], (1, 0), value=PAD), context)
        log_p = -functional.cross_entropy(self._logits(states[counted]), numbers[counted] - 1, reduction="none")
        each = torch.zeros_like(counted, dtype=log_p.dtype).masked_scatter(counted, log_p)
        return each.sum(1).reshape(whole.batch_shape)

    @torch.no_grad()
    def sample_sequentially(self, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Sentences `[*batch_shape, T]`: `pick(t, logits [N, K - 1])` chooses the token at position t, minus 1.

        Choices after <eos> are ignored.
        """
        context = self.context.reshape(-1, *self.context.shape[-2:])
        x = torch.full(context.shape[:2], PAD, device=context.device)
        before, past = x[:, :1], None
        running = torch.ones_like(x[:, 0], dtype=torch.bool)
        for t in range(x.shape[1]):
            states, past = self.network.states(before, context[:, t : t + 1], past)
            x[:, t] = torch.where(running, pick(t, self._logits(states[:, 0])) + 1, PAD)
            before, running = x[:, t : t + 1], running & (x[:, t] != END)
            if not running.any():
                break
        return x.reshape(self._extended_shape()).to(self.context.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        drawn = self.expand(torch.Size(sample_shape) + self.batch_shape)
        return drawn.sample_sequentially(lambda t, logits: Categorical(logits=logits, validate_args=False).sample())

    def nucleus(self, top_p: float) -> Tokens:
        """The same distribution with another `top_p`."""
        return Tokens(self.network, self.context, self.temperature, top_p)

    @property
    def mean(self) -> Tensor:
        """The most probable token given those chosen before it (greedy decoding), in place of a mean."""
        return self.sample_sequentially(lambda t, logits: logits.argmax(1))

    mode = mean

    @torch.no_grad()
    def beam(self, width: int) -> Tensor:
        """The most probable sentence that a beam search of `width` beams finds, `[*batch_shape, T]`."""
        context = self.context.reshape(-1, *self.context.shape[-2:]).repeat_interleave(width, 0)
        x = torch.full(context.shape[:2], PAD, device=context.device)
        first = torch.arange(len(x) // width, device=x.device).unsqueeze(1) * width
        total = context.new_full((len(first), width), -torch.inf)
        total[:, 0] = 0  # all beams start alike
        before, past = x[:, :1], None
        for t in range(x.shape[1]):
            states, past = self.network.states(before, context[:, t : t + 1], past)
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
        return x[first.squeeze(1)].reshape(self._extended_shape()).to(self.context.dtype)

    def tempered(self, temperature: float) -> Tokens:
        return Tokens(self.network, self.context, self.temperature * temperature, self.top_p)
