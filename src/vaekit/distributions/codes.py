"""From distributions to what the entropy coder takes: whole numbers, and how likely each is.

A distribution of this package says so itself, in its methods `code` and `alphabet`; torch's own are handled here.
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

from vaekit.entropy_coder import STEP, Code, bits, located, settled, table

WIDTH = 2.0**-7  # of a bin of z, in standard deviations of the prior
BINS = 2**12  # over 16 standard deviations to either side


class Alphabet(Protocol):
    """What the whole numbers that are coded stand for."""

    def values(self, symbols: Tensor) -> Tensor: ...


@runtime_checkable
class HasCode(Protocol):
    """A distribution that says how it is coded."""

    def code(self, alphabet: Any) -> Code: ...


@runtime_checkable
class HasAlphabet(Protocol):
    """A distribution that says which values its code is of."""

    def alphabet(self) -> Alphabet: ...


def code(d: Distribution, alphabet: Any) -> Code:
    """The code of `d`, batch shape `[B]`: of the bins of a `Grid` where it is continuous, else of its own values.

    Raises NotImplementedError where its dimensions are not coded one by one.
    """
    return d.code(alphabet) if isinstance(d, HasCode) else _code(d, alphabet)


def alphabet_of(p: Distribution) -> Alphabet:
    """The values that are coded of a z with prior `p`. Raises NotImplementedError where it has no mean."""
    return p.alphabet() if isinstance(p, HasAlphabet) else _alphabet(p)


# Torch's distributions ------------------------------------------------------------------------------------------------


@singledispatch
def _code(d: Distribution, alphabet: Any) -> Code:
    raise NotImplementedError


@_code.register
def _(d: Independent, alphabet: Any) -> Code:
    return code(d.base_dist, alphabet)


@_code.register
def _(d: Normal, alphabet: Any) -> Code:
    if not isinstance(alphabet, Grid):  # the values of a continuous likelihood have none
        raise NotImplementedError
    loc, scale = ((d.loc - alphabet.loc) / alphabet.width, d.scale / alphabet.width)  # in bins
    return located(_normal_cdf, BINS, settled(loc, 1 / 16) + BINS // 2, settled(scale, 1 / 16).clamp(min=1 / 16))


@_code.register
def _(d: MixtureSameFamily, alphabet: Any) -> Code:
    return Component(d, alphabet)


@_code.register
def _(d: Bernoulli, alphabet: Any) -> Code:
    return bits(settled(d.logits, STEP).sigmoid())


@_code.register(Categorical)
@_code.register(OneHotCategorical)
def _(d: Categorical | OneHotCategorical, alphabet: Any) -> Code:
    return table(settled(d.logits, STEP).softmax(-1))


def _normal_cdf(x: Tensor) -> Tensor:
    return torch.erfc(x * -math.sqrt(0.5)) / 2  # torch.special.ndtr loses the tails


@singledispatch
def _alphabet(p: Distribution) -> Alphabet:
    return Grid(p.mean, p.stddev * WIDTH)


@_alphabet.register
def _(p: Independent) -> Alphabet:
    return alphabet_of(p.base_dist)


@_alphabet.register(Bernoulli)
@_alphabet.register(Categorical)
def _(p: Bernoulli | Categorical) -> Alphabet:
    return Atoms(p.logits)


@_alphabet.register
def _(p: OneHotCategorical) -> Alphabet:
    return Atoms(p.logits, p.event_shape[-1])


# What latent symbols stand for ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Points of the line for each dimension of z: loc + (k - BINS / 2) * width, both `[B, *shape]` or `[*shape]`.

    They are the prior's, which is known to both sides by the time that z is coded, so that no range holds for all
    models.
    """

    loc: Tensor
    width: Tensor

    def values(self, symbols: Tensor) -> Tensor:
        return self.loc + (symbols.to(self.loc) - BINS // 2) * self.width


@dataclass(frozen=True)
class Atoms:
    """The values of a discrete z, as torch draws them: the number itself, or one-hot of `classes`."""

    like: Tensor
    classes: int = 0

    def values(self, symbols: Tensor) -> Tensor:
        return (one_hot(symbols, self.classes) if self.classes else symbols).to(self.like)


# Codes that take more than one step -----------------------------------------------------------------------------------


class Component:
    """Bins of z under a mixture, at the price of the mixture's own probability, by bits-back over its component.

    The component is drawn from its posterior given z by popping bits, which decoding gives back.
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
    """A distribution of numbers that are chosen one after another."""

    @property
    def batch_shape(self) -> torch.Size: ...

    def walk(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor: ...


class Ordered:
    """A number after the other, each by those before it. Both ways walk, so that both compute the same logits."""

    def __init__(self, d: Sequential):
        self.d, self.count = d, d.batch_shape.numel()

    def push(self, coder: Any, symbols: Tensor) -> None:
        each, walked = symbols.flatten(1).unbind(1), list[tuple[Code, Tensor]]()

        def pick(i: int, logits: Tensor) -> Tensor:
            walked.append((self._choice(logits), each[i]))
            return each[i].to(logits.device)

        self.d.walk(self.count, pick)
        for one, part in reversed(walked):
            one.push(coder, part)

    def pop(self, coder: Any) -> Tensor:
        return self.d.walk(self.count, lambda i, logits: self._choice(logits).pop(coder).to(logits.device)).cpu()

    def _choice(self, logits: Tensor) -> Code:
        return code(Categorical(logits=logits, validate_args=False), None)
