"""The entropy coder of the `constriction` library: a stack of bits, and what may be put on it.

Whoever decodes must compute the very same probabilities as who encoded, to the last bit. So the networks run in double
precision, and what they give is settled: rounded to steps that are far wider than its numerical noise (about 1e-15),
yet far too narrow to cost a measurable number of bits. After that there is only arithmetic on equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vaekit.refusal import Refusal

CHUNK = 2**14  # values that have a table each at once: it stays in the cache
STEP = 2.0**-8  # to which logits and logarithms settle


def _stream() -> Any:
    try:
        from constriction import stream
    except ModuleNotFoundError:  # the extra `compress`
        raise Refusal("Compression needs the library constriction; type: pip install '.[compress]'") from None
    return stream


def new_coder(words: np.ndarray) -> Any:
    """A stack that holds `words` (uint32, the last not 0). Raises `Refusal` where the library is missing."""
    return _stream().stack.AnsCoder(words)


def settled(x: Tensor, step: float) -> Tensor:
    """`x` at the nearest multiple of `step`. Raises `Refusal` for what is not finite."""
    if not torch.isfinite(x).all():
        raise Refusal("The model computes NaN or infinite values from these examples; train it again.")
    return (x / step).round_().mul_(step)


class Code(Protocol):
    """A distribution of B arrays of whole numbers. What is pushed last is popped first."""

    def push(self, coder: Any, symbols: Tensor) -> None:
        """Add symbols (int64, `[B, ...]`, on the CPU) to the stack, -log2 of their probability in bits."""

    def pop(self, coder: Any) -> Tensor:
        """Take them off again. Of random bits, this draws from the distribution."""


class Family:
    """One of constriction's families, with parameters `[B, ...]` for each symbol, or a table `[B, ..., S]`."""

    def __init__(self, model: Any, params: Tensor, table: bool = False):
        self.model, self.shape = model, params.shape[:-1] if table else params.shape
        self.params = params.reshape(-1, *params.shape[len(self.shape) :]).contiguous().cpu().numpy()

    def push(self, coder: Any, symbols: Tensor) -> None:
        coder.encode_reverse(symbols.flatten().int().numpy(), self.model, self.params)

    def pop(self, coder: Any) -> Tensor:
        return torch.from_numpy(coder.decode(self.model, self.params)).long().reshape(self.shape)


# Probabilities are whole multiples of 2^-20, which the coder, in units of 2^-24, adds up without error.


def bits(p: Tensor) -> Code:
    """Numbers that are 1 with probability p `[B, ...]`, else 0."""
    return Family(_stream().model.Bernoulli(perfect=False), (p * 2**20).round_() / 2**20)


def table(p: Tensor) -> Code:
    """Numbers below S with probabilities p `[B, ..., S]`."""
    return Family(_stream().model.Categorical(perfect=False), (p * 2**20).round_().float(), table=True)


def whitened(coder: Any, mask: np.ndarray) -> None:
    """Flip the bits at the top of the stack by `mask` (uint16). Done twice, it undoes itself."""
    evenly = _stream().model.Uniform(2**16)
    coder.encode_reverse(coder.decode(evenly, len(mask)) ^ mask, evenly)


def located(cdf: Callable[[Tensor], Tensor], count: int, loc: Tensor, scale: Tensor) -> Code:
    """Whole numbers below `count`, by one location and scale each, `[B, ...]`, of a distribution with this `cdf`."""
    return Digits(cdf, count, *(each.unsqueeze(0) for each in (torch.zeros_like(loc), loc, scale)))


class Digits:
    """Whole numbers below `count`, by a mixture of M locations and scales, as digits to a base of 4 at most.

    A table of 4 probabilities for each digit costs far less than one for every number. And the coder makes no number
    less likely than 2^-24: one by one, thousands that are so would be popped from random bits every so often.

    cdf: of the standard distribution, symmetric about 0. logits, loc, scale: `[M, B, ...]`, settled; a number k has the
    mass from k - 1/2 to k + 1/2, the first and the last all that lies beyond.
    """

    def __init__(self, cdf: Callable[[Tensor], Tensor], count: int, logits: Tensor, loc: Tensor, scale: Tensor):
        self.cdf, self.count, self.shape = cdf, count, loc.shape[1:]
        self.params = torch.stack([logits.softmax(0), loc, scale], 1).flatten(2).cpu()  # [M, 3, N]
        self.base = min(4, count)
        self.digits = next(d for d in range(1, 65) if self.base**d >= count)

    def push(self, coder: Any, symbols: Tensor) -> None:
        parts = zip(self.params.split(CHUNK, 2), symbols.flatten().split(CHUNK), strict=True)
        for params, part in reversed(list(parts)):
            for digit in range(self.digits):  # the last that is pushed, and so the first to come, is the highest
                above = part // self.base ** (digit + 1)
                self._table(params, above, digit).push(coder, part // self.base**digit % self.base)

    def pop(self, coder: Any) -> Tensor:
        parts = []
        for params in self.params.split(CHUNK, 2):
            above = torch.zeros(params.shape[2], dtype=torch.long)
            for digit in reversed(range(self.digits)):
                above = above * self.base + self._table(params, above, digit).pop(coder)
            parts.append(above)
        return torch.cat(parts).reshape(self.shape)

    def _table(self, params: Tensor, above: Tensor, digit: int) -> Code:
        """The distribution of a digit, counted from the lowest, given the number that those above it make."""
        # edges first, `[base + 1, N]`, so that all else lies along whole rows of memory
        size = self.base**digit
        x = above.double().mul_(self.base * size) + (torch.arange(self.base + 1).double() * size - 0.5).unsqueeze(1)
        x[0].masked_fill_(above == 0, -torch.inf)
        x.masked_fill_(x > self.count - 1, torch.inf)
        mass = torch.zeros_like(x[1:])
        for weight, loc, scale in params:
            # the difference of two tails near 0 keeps its digits, that of two near 1 does not
            side = torch.where(x[self.base // 2] > loc, -1.0, 1.0)
            mass.addcmul_(self.cdf((x - loc).mul_(side / scale)).diff(dim=0), weight * side)
        total = mass.sum(0)
        # where even the tails' tails vanish, all digits are alike
        return table(torch.where(total > 1e-280, mass / total, 1 / self.base).T)
