"""Sharper or broader versions of a distribution to draw from."""

from functools import singledispatch

from torch.distributions import Distribution, Independent, Normal

from vaekit.refusal import Refusal


@singledispatch
def tempered(d: Distribution, temperature: float) -> Distribution:
    """`d` with its standard deviation multiplied by `temperature` (1 leaves it as it is). Raises `Refusal` if it has none."""
    raise Refusal(f"{type(d).__name__} has no scale that temperature={temperature} could change; use temperature=1.")


@tempered.register
def _(d: Independent, temperature: float) -> Distribution:
    return Independent(tempered(d.base_dist, temperature), d.reinterpreted_batch_ndims, validate_args=False)


@tempered.register
def _(d: Normal, temperature: float) -> Distribution:
    return Normal(d.loc, d.scale * temperature, validate_args=False)
