"""The power spherical distribution."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Beta, Distribution, constraints
from torch.distributions.kl import register_kl
from torch.types import _size

from vaekit.distributions.sphere import MIN_TEMPERATURE, SphereUniform, around, log_area


class PowerSpherical(Distribution):
    """p(x) proportional to (1 + loc . x)^concentration on the unit sphere in R^d.

    De Cao and Aziz 2020, https://arxiv.org/abs/2006.04437: similar in shape to von Mises-Fisher, but density, entropy
    and reparameterized draws are exact and cheap.

    Args:
        loc: The mean direction, `[..., d]` of norm 1.
        concentration: `[...]`, above 0.
        validate_args: As of torch's distributions.

    Example:
        >>> import torch
        >>> from vaekit.distributions.power_spherical import PowerSpherical
        >>> p = PowerSpherical(torch.tensor([1.0, 0.0, 0.0]), torch.tensor(2.0))
        >>> p.mean
        tensor([0.5000, 0.0000, 0.0000])
    """

    arg_constraints = {"loc": constraints.real_vector, "concentration": constraints.positive}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor, validate_args: bool | None = False):
        self.loc, self.concentration = loc, concentration
        self.d = loc.shape[-1]
        self.alpha, self.beta = (self.d - 1) / 2 + concentration, torch.full_like(concentration, (self.d - 1) / 2)
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return PowerSpherical(self.loc.expand(*batch_shape, self.d), self.concentration.expand(batch_shape))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        w = 2 * Beta(self.alpha, self.beta, validate_args=False).rsample(torch.Size(sample_shape)) - 1
        return around(self.loc, w)

    @property
    def log_normalizer(self) -> Tensor:
        total = self.alpha + self.beta
        return -(total * math.log(2) + self.beta * math.log(math.pi) + self.alpha.lgamma() - total.lgamma())

    def log_prob(self, value: Tensor) -> Tensor:
        cosine = (self.loc * value).sum(-1).clamp(-1 + 1e-7, 1)
        return self.log_normalizer + self.concentration * torch.log1p(cosine)

    def entropy(self) -> Tensor:
        spread = math.log(2) + self.alpha.digamma() - (self.alpha + self.beta).digamma()
        return -(self.log_normalizer + self.concentration * spread)

    @property
    def mean(self) -> Tensor:
        return self.loc * ((self.alpha - self.beta) / (self.alpha + self.beta)).unsqueeze(-1)

    def tempered(self, temperature: float) -> "PowerSpherical":
        """The density to the power 1 / temperature^2, as for a normal distribution; a point in the limit of 0."""
        return PowerSpherical(self.loc, self.concentration / max(temperature, MIN_TEMPERATURE) ** 2)


@register_kl(PowerSpherical, SphereUniform)
def _kl(q: PowerSpherical, p: SphereUniform) -> Tensor:
    return log_area(q.d) - q.entropy()
