"""Sharper or broader versions of a distribution to draw from."""

import math
from contextlib import suppress
from functools import singledispatch
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal, constraints
from torch.nn.functional import one_hot

from vaekit.refusal import Refusal


@runtime_checkable
class Tempered(Protocol):
    """A distribution that says what a temperature does to it."""

    def tempered(self, temperature: float) -> Distribution: ...


def tempered(d: Distribution, temperature: float) -> Distribution:
    """`d` with its standard deviation multiplied by `temperature`.

    What that is, a distribution of this package says in its method `tempered`, and this file of torch's own. Draws of
    any other are moved away from its mean, or towards it. Raises `Refusal` unless they are real and can be
    reparameterised, and the mean is known.
    """
    return d.tempered(temperature) if isinstance(d, Tempered) else _tempered(d, temperature)


@singledispatch
def _tempered(d: Distribution, temperature: float) -> Distribution:
    with suppress(NotImplementedError):
        if d.has_rsample and _is_real(d.support):
            return Spread(d, d.mean, temperature)
    raise Refusal(
        f"temperature={temperature} spreads draws about their mean, which {type(d).__name__} does not have in closed "
        "form for real values. Try temperature=1."
    )


def _is_real(support: Any) -> bool:
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real


class Spread(Distribution):
    """mean + temperature (z - mean), z from `d`, whose mean is `mean`."""

    arg_constraints = {}
    has_rsample = True

    def __init__(self, d: Distribution, mean: Tensor, temperature: float):
        self.d, self.about, self.temperature = d, mean, temperature
        super().__init__(d.batch_shape, d.event_shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        d = self.d.expand(batch_shape)
        return Spread(d, self.about.expand(d.batch_shape + d.event_shape), self.temperature)

    @property
    def mean(self) -> Tensor:
        return self.about

    @property
    def stddev(self) -> Tensor:
        return self.temperature * self.d.stddev

    def rsample(self, sample_shape=torch.Size()) -> Tensor:
        return self.about + self.temperature * (self.d.rsample(sample_shape) - self.about)

    def log_prob(self, value: Tensor) -> Tensor:
        z = self.about + (value - self.about) / self.temperature
        return self.d.log_prob(z) - self.event_shape.numel() * math.log(self.temperature)


def divided(logits: Tensor, temperature: float) -> Tensor:
    """Logits `[..., K]` at a temperature by which they are divided; at 0 only the likeliest is left."""
    if temperature == 0:
        return one_hot(logits.argmax(-1), logits.shape[-1]).to(logits).log()
    return logits / temperature


@_tempered.register
def _(d: Independent, temperature: float) -> Distribution:
    return Independent(tempered(d.base_dist, temperature), d.reinterpreted_batch_ndims, validate_args=False)


@_tempered.register
def _(d: Normal, temperature: float) -> Distribution:
    return Normal(d.loc, d.scale * temperature, validate_args=False)


@_tempered.register
def _(d: Categorical, temperature: float) -> Distribution:
    return Categorical(logits=divided(d.logits, temperature), validate_args=False)


@_tempered.register
def _(d: MixtureSameFamily, temperature: float) -> Distribution:
    """Each component about its own mean."""
    components = tempered(d.component_distribution, temperature)
    return MixtureSameFamily(d.mixture_distribution, components, validate_args=False)
