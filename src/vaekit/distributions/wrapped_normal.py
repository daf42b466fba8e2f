"""A normal distribution wrapped onto the Poincaré ball."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints
from torch.types import _size

from vaekit.spaces.poincare import conformal_factor, double, exp, log


class WrappedNormal(Distribution):
    """exp_loc(v / lambda(loc)) with v ~ N(0, diag(scale^2)): a normal distribution wrapped onto the ball.

    Mathieu et al. 2019, https://arxiv.org/abs/1901.06033, appendix B.3. Densities are with respect to the Lebesgue
    measure of the ball as a subset of R^d.

    Args:
        loc: `[..., d]`, inside the ball.
        scale: `[..., d]`, above 0.
        validate_args: As of torch's distributions.

    Example:
        >>> import torch
        >>> from vaekit.distributions.wrapped_normal import WrappedNormal
        >>> p = WrappedNormal(torch.zeros(2), torch.ones(2))
        >>> bool(p.rsample((100,)).norm(dim=1).max() < 1)
        True
    """

    arg_constraints = {"loc": constraints.real_vector, "scale": constraints.positive}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = False):
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(self.loc.shape[:-1], self.loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        shape = (*batch_shape, *self.event_shape)
        return WrappedNormal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        loc = self.loc.expand(self._extended_shape(sample_shape))
        return exp(loc, self.scale * torch.randn_like(loc) / conformal_factor(loc))

    def log_prob(self, value: Tensor) -> Tensor:
        loc, value = double(self.loc), double(value)
        v = conformal_factor(loc) * log(loc, value)
        distance = v.norm(dim=-1).clamp_min(1e-15)
        d = self.event_shape[0]
        # log sinh r = r + log(1 - exp(-2r)) - log 2, which neither overflows nor cancels
        log_sinh = distance + torch.log(-torch.expm1(-2 * distance)) - torch.log(distance.new_tensor(2.0))
        riemannian = Normal(0.0, self.scale, validate_args=False).log_prob(v).sum(-1)
        log_p = riemannian + (d - 1) * (distance.log() - log_sinh) + d * conformal_factor(value).squeeze(-1).log()
        return log_p.to(self.loc)

    @property
    def mean(self) -> Tensor:
        """The Fréchet mean, about which the distribution is symmetric."""
        return self.loc

    def tempered(self, temperature: float) -> "WrappedNormal":
        return WrappedNormal(self.loc, self.scale * temperature)
