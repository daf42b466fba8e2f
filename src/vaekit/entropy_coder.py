"""The entropy coder of the library `constriction`: a stack of bits, and the distributions that it codes.

Decoder and encoder must compute the same probabilities, to the last bit. So networks run in double precision, and their
outputs are rounded to steps far wider than numerical noise (about 1e-15), but too narrow to cost a measurable
number of bits. After that, all arithmetic is on equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vaekit.refusal import Refusal

CHUNK = 2**14  # values whose tables are built at once, which fits into the processor cache
STEP = 2.0**-8  # to which logits and logarithms are rounded


def _stream() -> Any:
    try:
        from constriction import stream
    except ModuleNotFoundError:  # the extra `compress`
        raise Refusal("Compression needs the library constriction; type: pip install '.[compress]'") from None
    return stream


def new_coder(words: np.ndarray) -> Any:
    """A stack of bits.

    Args:
        words: Its initial contents: uint32, the last word not 0.

    Raises:
        Refusal: If the library is missing.
    """
    return _stream().stack.AnsCoder(words)


def rounded(x: Tensor, step: float) -> Tensor:
    """Values rounded to multiples of a step.

    Args:
        x: Any shape.
        step: The step.

    Raises:
        Refusal: For values that are not finite.

    Example:
        >>> import torch
        >>> from vaekit.entropy_coder import rounded
        >>> rounded(torch.tensor([0.3, 0.4]), 0.25)
        tensor([0.2500, 0.5000])
    """
    if not torch.isfinite(x).all():
        raise Refusal("The model computes NaN or infinite values from these examples. Train it again.")
    return (x / step).round_().mul_(step)


class Code(Protocol):
    """A distribution of B arrays of whole numbers. What is pushed last is popped first."""

    def push(self, coder: Any, symbols: Tensor) -> None:
        """Add symbols (int64, `[B, ...]`, on the CPU) to the stack, -log2 of their probability in bits."""

    def pop(self, coder: Any) -> Tensor:
        """Remove symbols from the stack. Popping random bits draws from the distribution."""


class Family:
    """A code by one of the families of distributions of constriction.

    Args:
        model: The family.
        params: `[B, ...]`, the parameter of each symbol; or with `table`, `[B, ..., S]`, probabilities.
        table: Whether the last dimension is one of probabilities.
    """

    def __init__(self, model: Any, params: Tensor, table: bool = False):
        self.model, self.shape = model, params.shape[:-1] if table else params.shape
        self.params = params.reshape(-1, *params.shape[len(self.shape) :]).contiguous().cpu().numpy()

    def push(self, coder: Any, symbols: Tensor) -> None:
        coder.encode_reverse(symbols.flatten().int().numpy(), self.model, self.params)

    def pop(self, coder: Any) -> Tensor:
        return torch.from_numpy(coder.decode(self.model, self.params)).long().reshape(self.shape)


# Probabilities are whole multiples of 2^-20, which the coder, in units of 2^-24, adds up without error.


def bits(p: Tensor) -> Code:
    """A code of zeros and ones.

    Args:
        p: `[B, ...]`, probability of 1.

    Example:
        >>> import numpy as np, torch
        >>> from vaekit.entropy_coder import bits, new_coder
        >>> coder, code = new_coder(np.array([1, 2, 3], dtype=np.uint32)), bits(torch.full((1, 4), 0.5))
        >>> code.push(coder, torch.tensor([[1, 0, 1, 1]]))
        >>> code.pop(coder)
        tensor([[1, 0, 1, 1]])
    """
    return Family(_stream().model.Bernoulli(perfect=False), (p * 2**20).round_() / 2**20)


def table(p: Tensor) -> Code:
    """A code of whole numbers below S.

    Args:
        p: `[B, ..., S]`, probabilities.
    """
    return Family(_stream().model.Categorical(perfect=False), (p * 2**20).round_().float(), table=True)


def flip_bits(coder: Any, mask: np.ndarray) -> None:
    """Flip the bits at the top of the stack; flipping them again restores them.

    Args:
        coder: The stack.
        mask: uint16, 1 for each bit to flip.
    """
    uniform = _stream().model.Uniform(2**16)
    coder.encode_reverse(coder.decode(uniform, len(mask)) ^ mask, uniform)


def located(cdf: Callable[[Tensor], Tensor], count: int, loc: Tensor, scale: Tensor) -> Code:
    """A code of whole numbers with one location and scale each.

    Args:
        cdf: Cumulative distribution function of the standard distribution, symmetric about 0.
        count: The numbers are below this.
        loc: `[B, ...]`, in units of the numbers.
        scale: `[B, ...]`.
    """
    return Digits(cdf, count, *(each.unsqueeze(0) for each in (torch.zeros_like(loc), loc, scale)))


class Digits:
    """A code of whole numbers by a mixture of M locations and scales, as digits to a base of at most 4.

    A table of 4 probabilities for each digit costs far less than one for every number. The coder gives every number at
    least the probability 2^-24: if numbers were coded directly, one of thousands of unlikely ones would sometimes be
    popped from random bits.

    Args:
        cdf: Cumulative distribution function of the standard distribution, symmetric about 0.
        count: The numbers are below this.
        logits: `[M, B, ...]`, rounded weights of the mixture.
        loc: `[M, B, ...]`, rounded. A number k has the mass from k - 1/2 to k + 1/2; the first and the last also have
            the tails.
        scale: `[M, B, ...]`, rounded.
    """

    def __init__(self, cdf: Callable[[Tensor], Tensor], count: int, logits: Tensor, loc: Tensor, scale: Tensor):
        self.cdf, self.count, self.shape = cdf, count, loc.shape[1:]
        self.params = torch.stack([logits.softmax(0), loc, scale], 1).flatten(2).cpu()  # [M, 3, N]
        self.base = min(4, count)
        self.digits = next(d for d in range(1, 65) if self.base**d >= count)

    def push(self, coder: Any, symbols: Tensor) -> None:
        parts = zip(self.params.split(CHUNK, 2), symbols.flatten().split(CHUNK), strict=True)
        for params, part in reversed(list(parts)):
            for digit in range(self.digits):  # the highest digit is pushed last, and so popped first
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
        """The distribution of digit `digit` (0 is the lowest), given the number that the higher digits form."""
        # edges in the first dimension, `[base + 1, N]`, so that memory access is contiguous
        size = self.base**digit
        x = above.double().mul_(self.base * size) + (torch.arange(self.base + 1).double() * size - 0.5).unsqueeze(1)
        x[0].masked_fill_(above == 0, -torch.inf)
        x.masked_fill_(x > self.count - 1, torch.inf)
        mass = torch.zeros_like(x[1:])
        for weight, loc, scale in params:
            # the difference of two tails near 0 is accurate, that of two near 1 is not
            side = torch.where(x[self.base // 2] > loc, -1.0, 1.0)
            mass.addcmul_(self.cdf((x - loc).mul_(side / scale)).diff(dim=0), weight * side)
        total = mass.sum(0)
        # where even the tails underflow, all digits are equally likely
        return table(torch.where(total > 1e-280, mass / total, 1 / self.base).T)
