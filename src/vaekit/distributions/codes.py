"""Codes of distributions for the entropy coder: integers, and the probability of each.

A distribution of this package has methods `code` and `alphabet`; torch's own are handled here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    OneHotCategorical,
)
from torch.nn.functional import one_hot

from vaekit.entropy_coder import STEP, Code, bits, located, rounded, table

WIDTH = 2.0**-7  # width of a bin of z, in standard deviations of the prior
BINS = 2**12  # number of bins, which cover 16 standard deviations to either side


class Alphabet(Protocol):
    """The values that the coded integers represent."""

    def values(self, symbols: Tensor) -> Tensor: ...


@runtime_checkable
class HasCode(Protocol):
    """A distribution that defines its own code."""

    def code(self, alphabet: Any) -> Code: ...


@runtime_checkable
class HasAlphabet(Protocol):
    """A distribution that defines its own alphabet."""

    def alphabet(self) -> Alphabet: ...


def code(d: Distribution, alphabet: Any) -> Code:
    """The code of a distribution of batch shape `[B]`: of the bins of a `Grid` if it is continuous, else of its own
    values.

    Args:
        d: The distribution.
        alphabet: The values that the integers represent.

    Raises:
        NotImplementedError: If its dimensions are not coded one by one.

    Example:
        >>> import torch
        >>> from torch.distributions import Bernoulli, Independent
        >>> from vaekit.distributions.codes import alphabet_of, code
        >>> p = Independent(Bernoulli(logits=torch.zeros(5, 3)), 1)
        >>> type(code(p, alphabet_of(p))).__module__
        'vaekit.entropy_coder'
    """
    return d.code(alphabet) if isinstance(d, HasCode) else _code(d, alphabet)


def alphabet_of(p: Distribution) -> Alphabet:
    """The values that are coded of a z with this prior.

    Args:
        p: The prior.

    Raises:
        NotImplementedError: If it has no mean.
    """
    return p.alphabet() if isinstance(p, HasAlphabet) else _alphabet(p)


# Torch's distributions ------------------------------------------------------------------------------------------------


@singledispatch
def _code(d: Distribution, alphabet: Any) -> Code:
    raise NotImplementedError


@_code.register
def _(d: Independent, alphabet: Any) -> Code:  # type: ignore[type-arg]
    return code(d.base_dist, alphabet)


@_code.register
def _(d: Normal, alphabet: Any) -> Code:
    if not isinstance(alphabet, Grid):  # the values of a continuous likelihood have none
        raise NotImplementedError
    loc, scale = ((d.loc - alphabet.loc) / alphabet.width, d.scale / alphabet.width)  # in bins
    return located(_normal_cdf, BINS, rounded(loc, 1 / 16) + BINS // 2, rounded(scale, 1 / 16).clamp(min=1 / 16))


@_code.register
def _(d: MixtureSameFamily, alphabet: Any) -> Code:
    return Component(d, alphabet)


@_code.register
def _(d: Bernoulli, alphabet: Any) -> Code:
    return bits(rounded(d.logits, STEP).sigmoid())


@_code.register(Categorical)
@_code.register(OneHotCategorical)
def _(d: Categorical | OneHotCategorical, alphabet: Any) -> Code:
    return table(rounded(d.logits, STEP).softmax(-1))


def _normal_cdf(x: Tensor) -> Tensor:
    return torch.erfc(x * -math.sqrt(0.5)) / 2  # torch.special.ndtr is inaccurate in the tails


@singledispatch
def _alphabet(p: Distribution) -> Alphabet:
    return Grid(p.mean, p.stddev * WIDTH)


@_alphabet.register
def _(p: Independent) -> Alphabet:  # type: ignore[type-arg]
    return alphabet_of(p.base_dist)


@_alphabet.register(Bernoulli)
@_alphabet.register(Categorical)
def _(p: Bernoulli | Categorical) -> Alphabet:
    return Atoms(p.logits)


@_alphabet.register
def _(p: OneHotCategorical) -> Alphabet:
    return Atoms(p.logits, p.event_shape[-1])


# The values of latent symbols -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Points loc + (k - BINS / 2) width on the line for each dimension of z.

    They depend on the prior, which coder and decoder know when z is coded, so that no fixed range has to suit all
    models.

    Args:
        loc: `[B, *shape]` or `[*shape]`.
        width: The distance between points, of the same shape.
    """

    loc: Tensor
    width: Tensor

    def values(self, symbols: Tensor) -> Tensor:
        return self.loc + (symbols.to(self.loc) - BINS // 2) * self.width


@dataclass(frozen=True)
class Atoms:
    """The values of a discrete z, as torch draws them.

    Args:
        like: A tensor of the type and device of z.
        classes: The length of one-hot values; 0 if the value is the integer itself.
    """

    like: Tensor
    classes: int = 0

    def values(self, symbols: Tensor) -> Tensor:
        return (one_hot(symbols, self.classes) if self.classes else symbols).to(self.like)


# Codes that take more than one step -----------------------------------------------------------------------------------


class Component:
    """The code of bins of z under a mixture, by bits-back coding of the component.

    The component is drawn from its posterior given z by popping bits, which decoding gives back; so z costs its
    negative log-probability under the whole mixture.

    Args:
        mixture: Of diagonal Gaussians.
        grid: The bins.
    """

    def __init__(self, mixture: MixtureSameFamily, grid: Grid):
        parts: Any = mixture.component_distribution
        if not isinstance(parts, Independent) or not isinstance(parts.base_dist, Normal):
            raise NotImplementedError
        shape = (*mixture.batch_shape, mixture.mixture_distribution.logits.shape[-1], *mixture.event_shape)
        self.loc, self.scale = parts.base_dist.loc.expand(shape), parts.base_dist.scale.expand(shape)
        self.parts, self.log_weights, self.grid = parts, mixture.mixture_distribution.logits, grid
        self.weights = code(Categorical(logits=self.log_weights, validate_args=False), None)

    def push(self, coder: Any, symbols: Tensor) -> None:
        component = self._posterior(symbols).pop(coder)
        self._part(component).push(coder, symbols)
        self.weights.push(coder, component)

    def pop(self, coder: Any) -> Tensor:
        component = self.weights.pop(coder)
        symbols = self._part(component).pop(coder)
        self._posterior(symbols).push(coder, component)
        return symbols

    def _posterior(self, symbols: Tensor) -> Code:
        logits = self.log_weights + self.parts.log_prob(self.grid.values(symbols).unsqueeze(1))
        return code(Categorical(logits=logits, validate_args=False), None)

    def _part(self, component: Tensor) -> Code:
        rows = torch.arange(len(component)), component
        return code(Normal(self.loc[rows], self.scale[rows], validate_args=False), self.grid)


class Sequential(Protocol):
    """A distribution of integers that are chosen one after another."""

    @property
    def batch_shape(self) -> torch.Size: ...

    def sample_sequentially(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor: ...


class Ordered:
    """A code of integers one after another, each given those before it.

    Coding and decoding both choose sequentially, so that both compute the same logits.

    Args:
        d: The distribution.
    """

    def __init__(self, d: Sequential):
        self.d, self.count = d, d.batch_shape.numel()

    def push(self, coder: Any, symbols: Tensor) -> None:
        each, chosen = symbols.flatten(1).unbind(1), list[tuple[Code, Tensor]]()

        def pick(i: int, logits: Tensor) -> Tensor:
            chosen.append((self._choice(logits), each[i]))
            return each[i].to(logits.device)

        self.d.sample_sequentially(self.count, pick)
        for one, part in reversed(chosen):
            one.push(coder, part)

    def pop(self, coder: Any) -> Tensor:
        return self.d.sample_sequentially(
            self.count, lambda i, logits: self._choice(logits).pop(coder).to(logits.device)
        ).cpu()

    def _choice(self, logits: Tensor) -> Code:
        return code(Categorical(logits=logits, validate_args=False), None)
