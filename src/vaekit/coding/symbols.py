"""From torch distributions to what the entropy coder takes: whole numbers, and how likely each is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

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

from vaekit.coding.coder import Code, Digits, bits, settled, table
from vaekit.distributions.autoregressive import Autoregressive
from vaekit.distributions.coded import Coded
from vaekit.distributions.discretized_logistic import DiscretizedLogistic
from vaekit.distributions.levels import Levels
from vaekit.distributions.logistic_mixture import LogisticMixture
from vaekit.distributions.quantized import Deterministic
from vaekit.distributions.sequence import Sequence

WIDTH = 2.0**-7  # of a bin of z, in standard deviations of the prior
BINS = 2**12  # over 16 standard deviations to either side
STEP = 2.0**-8  # to which logits and logarithms settle


# Which code a distribution has ----------------------------------------------------------------------------------------


@singledispatch
def code(d: Distribution, grid: Grid | Atoms | Points | None) -> Code:
    """The code of `d`, batch shape `[B]`: of the bins of a `Grid` where it is continuous, else of its own values.

    Raises NotImplementedError where its dimensions are not coded one by one.
    """
    raise NotImplementedError


@code.register
def _(d: Independent, grid: Any) -> Code:
    return code(d.base_dist, grid)


@code.register
def _(d: Normal, grid: Any) -> Code:
    loc, scale = settled((d.loc - grid.loc) / grid.width, 1 / 16), settled(d.scale / grid.width, 1 / 16)  # in bins
    return _alone(_normal_cdf, BINS, loc + BINS // 2, scale.clamp(min=1 / 16))


@code.register
def _(d: MixtureSameFamily, grid: Any) -> Code:
    return Component(d, grid)


@code.register
def _(d: Bernoulli, grid: Any) -> Code:
    return bits(settled(d.logits, STEP).sigmoid())


@code.register(Categorical)
@code.register(OneHotCategorical)
@code.register(Levels)
def _(d: Categorical | OneHotCategorical | Levels, grid: Any) -> Code:
    return table(settled(d.logits, STEP).softmax(-1))


@code.register
def _(d: Coded, grid: Any) -> Code:
    return code(d.indices, grid)


@code.register
def _(d: Deterministic, grid: Any) -> Code:
    return Known(d.index.cpu())


@code.register(Sequence)
@code.register(Autoregressive)
def _(d: Sequence | Autoregressive, grid: Any) -> Code:
    return Ordered(d)


@code.register
def _(d: DiscretizedLogistic, grid: Any) -> Code:
    return _alone(torch.sigmoid, d.levels, *_in_levels(d.loc, d.scale, d.levels))


@code.register
def _(d: LogisticMixture, grid: Any) -> Code:
    return Channels(d)


def _alone(cdf: Callable[[Tensor], Tensor], count: int, loc: Tensor, scale: Tensor) -> Code:
    """A mixture of one."""
    return Digits(cdf, count, *(each.unsqueeze(0) for each in (torch.zeros_like(loc), loc, scale)))


def _normal_cdf(x: Tensor) -> Tensor:
    return torch.erfc(x * -math.sqrt(0.5)) / 2  # torch.special.ndtr loses the tails


def _in_levels(loc: Tensor, scale: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Location and scale of a logistic distribution, settled, from units of the [0, 1] image to those of a level."""
    return settled(loc, 2.0**-14) * (levels - 1), settled(scale.log(), STEP).exp() * (levels - 1)


# Those that take more than one step -----------------------------------------------------------------------------------


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


class Channels:
    """Pixels of a mixture of logistics: a channel after the other, each a mixture weighted by those before it."""

    def __init__(self, d: LogisticMixture):
        self.d = d

    def push(self, coder: Any, symbols: Tensor) -> None:
        for channel in reversed(range(symbols.shape[1])):
            self._given(symbols[:, :channel]).push(coder, symbols[:, channel])

    def pop(self, coder: Any) -> Tensor:
        batch, (channels, height, width) = len(self.d.logits), self.d.event_shape
        symbols = torch.zeros(batch, 0, height, width, dtype=torch.long)
        for _ in range(channels):
            symbols = torch.cat([symbols, self._given(symbols).pop(coder).unsqueeze(1)], 1)
        return symbols

    def _given(self, before: Tensor) -> Digits:
        """The channel that comes after those in `before` `[B, channel, H, W]`."""
        d, logits = self.d, self.d.logits
        x = (before.to(d.loc) / (d.levels - 1)).unsqueeze(1)
        for channel in range(before.shape[1]):
            logistic = DiscretizedLogistic(self._loc(channel, x), d.scale[:, :, channel], d.levels)
            logits = logits + logistic.log_prob(x[:, :, channel])
        channel = before.shape[1]
        params = settled(logits, STEP), *_in_levels(self._loc(channel, x), d.scale[:, :, channel], d.levels)
        return Digits(torch.sigmoid, d.levels, *(each.transpose(0, 1) for each in params))

    def _loc(self, channel: int, x: Tensor) -> Tensor:
        return self.d._shifted(channel, self.d.loc, self.d.coefficients, x[:, :, :channel])


@dataclass(frozen=True)
class Known:
    """Numbers that who decodes knows by then: they take no bits, and give none."""

    symbols: Tensor

    def push(self, coder: Any, symbols: Tensor) -> None:
        pass

    def pop(self, coder: Any) -> Tensor:
        return self.symbols


class Ordered:
    """A number after the other, each by those before it. Both ways walk, so that both compute the same logits."""

    def __init__(self, d: Sequence | Autoregressive):
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


# What a latent symbol stands for --------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Points:
    """The points that the numbers of codes stand for."""

    coded: Coded

    def values(self, symbols: Tensor) -> Tensor:
        return self.coded.at(symbols)


@singledispatch
def grid_of(p: Distribution) -> Grid | Atoms | Points:
    """The values that are coded of a z with prior `p`. Raises NotImplementedError where it has no mean."""
    return Grid(p.mean, p.stddev * WIDTH)


@grid_of.register
def _(p: Independent) -> Grid | Atoms | Points:
    return grid_of(p.base_dist)


@grid_of.register(Bernoulli)
@grid_of.register(Categorical)
def _(p: Bernoulli | Categorical) -> Grid | Atoms:
    return Atoms(p.logits)


@grid_of.register
def _(p: Coded) -> Points:
    return Points(p)


@grid_of.register
def _(p: OneHotCategorical) -> Grid | Atoms:
    return Atoms(p.logits, p.event_shape[-1])
