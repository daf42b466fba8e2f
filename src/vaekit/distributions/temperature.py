"""Distributions with their spread scaled by a temperature."""

import math
from contextlib import suppress
from functools import singledispatch
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal, constraints
from torch.nn.functional import one_hot
from torch.types import _size

from vaekit.refusal import Refusal


@runtime_checkable
class Tempered(Protocol):
    """A distribution that defines its own rule for a temperature."""

    def tempered(self, temperature: float) -> Distribution: ...


def tempered(d: Distribution, temperature: float) -> Distribution:
    """`d` with its standard deviation multiplied by a temperature.

    Distributions of this package define a method `tempered`; rules for those of torch are in this file. Draws of any
    other distribution are moved towards the mean or away from it.

    Args:
        d: Any distribution.
        temperature: The factor, at least 0; below 1 draws are less diverse.

    Raises:
        Refusal: If there is no rule, and draws are not real, not reparameterized, or have no known mean.

    Example:
        >>> from torch.distributions import Normal
        >>> from vaekit.distributions.temperature import tempered
        >>> tempered(Normal(0.0, 2.0), 0.5).stddev.item()
        1.0
    """
    return d.tempered(temperature) if isinstance(d, Tempered) else _tempered(d, temperature)


@singledispatch
def _tempered(d: Distribution, temperature: float) -> Distribution:
    with suppress(NotImplementedError):
        if d.has_rsample and _is_real(d.support):
            return Spread(d, d.mean, temperature)
    raise Refusal(
        f"temperature={temperature} spreads draws around their mean, which {type(d).__name__} does not have in closed "
        "form for real values. Try temperature=1."
    )


def _is_real(support: Any) -> bool:
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real


class Spread(Distribution):
    """mean + temperature (z - mean), with z from `d`.

    Args:
        d: A distribution with reparameterized draws.
        mean: Its mean.
        temperature: The factor.

    Example:
        >>> import torch
        >>> from torch.distributions import Laplace
        >>> from vaekit.distributions.temperature import Spread
        >>> p = Spread(Laplace(torch.zeros(3), 1.0), torch.zeros(3), 0.5)
        >>> p.stddev / Laplace(0.0, 1.0).stddev
        tensor([0.5000, 0.5000, 0.5000])
    """

    arg_constraints = {}
    has_rsample = True

    def __init__(self, d: Distribution, mean: Tensor, temperature: float):
        self.d, self.center, self.temperature = d, mean, temperature
        super().__init__(d.batch_shape, d.event_shape, validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        d = self.d.expand(batch_shape)
        return Spread(d, self.center.expand(d.batch_shape + d.event_shape), self.temperature)

    @property
    def mean(self) -> Tensor:
        return self.center

    @property
    def stddev(self) -> Tensor:
        return self.temperature * self.d.stddev

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.center + self.temperature * (self.d.rsample(sample_shape) - self.center)

    def log_prob(self, value: Tensor) -> Tensor:
        z = self.center + (value - self.center) / self.temperature
        return self.d.log_prob(z) - self.event_shape.numel() * math.log(self.temperature)


def divided(logits: Tensor, temperature: float) -> Tensor:
    """Logits at a temperature; at 0 only the most probable value remains.

    Args:
        logits: `[..., K]`.
        temperature: Divides the logits, at least 0.

    Example:
        >>> import torch
        >>> from vaekit.distributions.temperature import divided
        >>> divided(torch.tensor([1.0, 2.0]), 0)
        tensor([-inf, 0.])
    """
    if temperature == 0:
        return one_hot(logits.argmax(-1), logits.shape[-1]).to(logits).log()
    return logits / temperature


@_tempered.register
def _(d: Independent, temperature: float) -> Distribution:  # type: ignore[type-arg]
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
