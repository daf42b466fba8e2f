"""Sharper or broader versions of a distribution to draw from."""

from functools import singledispatch

from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal
from torch.nn.functional import one_hot

from vaekit.distributions.flow import Flow, zuko
from vaekit.distributions.mixture import EvenMixture
from vaekit.distributions.wrapped_normal import WrappedNormal
from vaekit.refusal import Refusal


@singledispatch
def tempered(d: Distribution, temperature: float) -> Distribution:
    """`d` with its standard deviation multiplied by `temperature`. Raises `Refusal` if it has none."""
    raise Refusal(f"{type(d).__name__} has no scale that temperature={temperature} could change; use temperature=1.")


def divided(logits: Tensor, temperature: float) -> Tensor:
    """Logits `[..., K]` of a choice, which has no deviation, at a temperature; at 0 the likeliest alone is left."""
    if temperature == 0:
        return one_hot(logits.argmax(-1), logits.shape[-1]).to(logits).log()
    return logits / temperature


@tempered.register
def _(d: Independent, temperature: float) -> Distribution:
    return Independent(tempered(d.base_dist, temperature), d.reinterpreted_batch_ndims, validate_args=False)


@tempered.register
def _(d: Normal, temperature: float) -> Distribution:
    return Normal(d.loc, d.scale * temperature, validate_args=False)


@tempered.register
def _(d: MixtureSameFamily, temperature: float) -> Distribution:
    """Each component about its own mean."""
    components = tempered(d.component_distribution, temperature)
    return MixtureSameFamily(d.mixture_distribution, components, validate_args=False)


@tempered.register
def _(d: EvenMixture, temperature: float) -> Distribution:
    """Each component about its own mean."""
    return EvenMixture(d.loc, d.scale * temperature, d.there)


@tempered.register
def _(d: Flow, temperature: float) -> Distribution:
    """The base, as is the custom for flows (Kingma and Dhariwal 2018, section 6)."""
    return Flow(zuko.distributions.NormalizingFlow(d.flow.transform, tempered(d.flow.base, temperature)))


@tempered.register
def _(d: WrappedNormal, temperature: float) -> Distribution:
    return WrappedNormal(d.loc, d.scale * temperature)
