"""The von Mises-Fisher distribution."""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Beta, Distribution, constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import lazy_property
from torch.types import _size

from vaekit.distributions.sphere import MIN_TEMPERATURE, SphereUniform, around, log_area

NODES = 96


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(NODES)


class VonMisesFisher(Distribution):
    """p(x) proportional to exp(concentration * loc . x) on the unit sphere in R^d, d >= 2.

    Davidson et al. 2018, https://arxiv.org/abs/1804.00891. Draws are exact (Wood 1994); their gradient is implicit
    (Figurnov et al. 2018, https://arxiv.org/abs/1805.08498), so that it reaches the concentration without the bias of
    rejection. The integral of exp(k cos t) sin(t)^(d-2) is computed by quadrature over the interval that holds its
    mass, which is exact to rounding and avoids Bessel functions, whose orders overflow.

    Args:
        loc: The mean direction, `[..., d]` of norm 1.
        concentration: `[...]`, above 0.
        validate_args: As of torch's distributions.

    Example:
        >>> import torch
        >>> from vaekit.distributions.von_mises_fisher import VonMisesFisher
        >>> p = VonMisesFisher(torch.tensor([1.0, 0.0, 0.0]), torch.tensor(2.0))
        >>> p.mean  # coth(2) - 1/2
        tensor([0.5373, 0.0000, 0.0000])
    """

    arg_constraints = {"loc": constraints.real_vector, "concentration": constraints.positive}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor, validate_args: bool | None = False):
        self.loc, self.concentration = loc, concentration
        self.d = loc.shape[-1]
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return VonMisesFisher(self.loc.expand(*batch_shape, self.d), self.concentration.expand(batch_shape))

    def _log_integrand(self, angle: Tensor, concentration: Tensor) -> Tensor:
        return concentration * angle.cos() + (self.d - 2) * angle.sin().clamp_min(1e-300).log()

    def _range(self) -> tuple[Tensor, Tensor]:
        """The angles between which all but exp(-40) of the mass lies."""
        k = self.concentration.detach().double()
        m = (self.d - 2) / 2
        cosine = k / (m + (m * m + k * k).sqrt())  # where k cos t + (d - 2) log sin t is highest
        sine = (1 - cosine.square()).clamp_min(0).sqrt()
        mode = torch.atan2(sine.float(), cosine.float()).double()  # ONNX Runtime supports atan2 in float32 only
        curvature = k * cosine + (self.d - 2) / (1 - cosine.square()).clamp_min(1e-12)
        width = 12 / curvature.clamp_min(1e-12).sqrt()
        return (mode - width).clamp_min(0), (mode + width).clamp_max(math.pi)

    def _quadrature(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Angles `[NODES, ...]` and log weights for an integral from `low` to `high`."""
        nodes, weights = (torch.from_numpy(a).to(low) for a in _gauss_legendre())
        shape = (-1, *[1] * low.dim())
        half = (high - low) / 2
        return low + half * (nodes.reshape(shape) + 1), weights.reshape(shape).log() + half.clamp_min(1e-300).log()

    @lazy_property
    def _log_integral_and_cosine(self) -> tuple[Tensor, Tensor]:
        """log of the integral, and the mean of the cosine, both differentiable in the concentration."""
        angle, log_weight = self._quadrature(*self._range())
        k = self.concentration.double()
        log_mass = self._log_integrand(angle, k) + log_weight
        log_integral = log_mass.logsumexp(0)
        cosine = ((log_mass - log_integral).exp() * angle.cos()).sum(0)
        return log_integral.to(self.loc), cosine.to(self.loc)

    def log_prob(self, value: Tensor) -> Tensor:
        log_normalizer = self._log_integral_and_cosine[0] + log_area(self.d - 1)
        return self.concentration * (self.loc * value).sum(-1) - log_normalizer

    @property
    def mean(self) -> Tensor:
        return self.loc * self._log_integral_and_cosine[1].unsqueeze(-1)

    def entropy(self) -> Tensor:
        log_integral, cosine = self._log_integral_and_cosine
        return log_integral + log_area(self.d - 1) - self.concentration * cosine

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        k = self.concentration.expand(shape)
        w = self._draw_cosine(k.detach())
        if k.requires_grad:
            w = w + self._slope(w) * (k - k.detach())
        return around(self.loc, w)

    @torch.no_grad()
    def _draw_cosine(self, k: Tensor) -> Tensor:
        """Wood 1994: a transformed beta variate, accepted or drawn again."""
        n = self.d - 1
        k = k.double()
        b = n / (2 * k + (4 * k.square() + n * n).sqrt())
        x0 = (1 - b) / (1 + b)
        c = k * x0 + n * torch.log1p(-x0.square())
        w, missing = torch.zeros_like(k), torch.ones_like(k, dtype=torch.bool)
        beta = Beta(k.new_tensor(n / 2), k.new_tensor(n / 2), validate_args=False)
        while missing.any():
            z = beta.sample(k.shape)
            proposal = (1 - (1 + b) * z) / (1 - (1 - b) * z)
            accepted = k * proposal + n * torch.log1p(-x0 * proposal) - c >= torch.rand_like(k).log()
            w = torch.where(missing & accepted, proposal, w)
            missing &= ~accepted
        return w.to(self.loc).clamp(-1, 1)

    @torch.no_grad()
    def _slope(self, w: Tensor) -> Tensor:
        """dw / dk at a fixed probability: -(dF/dk) / p(w), where dF/dk = integral from -1 to w of p(t) (t - E t)."""
        angle_w = w.double().clamp(-1 + 1e-12, 1 - 1e-12).acos()
        low, high = (bound.expand(w.shape) for bound in self._range())
        log_integral, cosine = (each.detach().double() for each in self._log_integral_and_cosine)
        k = self.concentration.detach().double()
        start = torch.maximum(angle_w, low)
        angle, log_weight = self._quadrature(start, torch.maximum(high, start))
        mass = (self._log_integrand(angle, k) + log_weight - log_integral).exp()
        change = (mass * (angle.cos() - cosine)).sum(0)
        # p(w) dw = p(angle) d angle, and dw = sin(angle) d angle
        density = (self._log_integrand(angle_w, k) - log_integral).exp() / angle_w.sin()
        return (-change / density.clamp_min(1e-300)).to(self.loc)

    def tempered(self, temperature: float) -> "VonMisesFisher":
        """The density to the power 1 / temperature^2, as for a normal distribution; a point in the limit of 0."""
        return VonMisesFisher(self.loc, self.concentration / max(temperature, MIN_TEMPERATURE) ** 2)


@register_kl(VonMisesFisher, SphereUniform)
def _kl(q: VonMisesFisher, p: SphereUniform) -> Tensor:
    return log_area(q.d) - q.entropy()
