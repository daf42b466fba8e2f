"""Student's t over several series at once, independent across steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class MultivariateStudent(Distribution):
    """x `[..., series, T]`: at each step loc + scale * (L n) / sqrt(g), with normal n and g ~ chi2(df) / df.

    g is shared by all series, so that extremes occur together. Kotz and Nadarajah 2004.

    Args:
        loc: `[..., series, T]`.
        scale: `[..., series, T]`, above 0.
        factor: L `[series, series]`, lower triangular with a positive diagonal.
        df: Degrees of freedom, `[]`, above 2 so that the variance is finite.

    Example:
        >>> import torch
        >>> from vaekit.distributions.multivariate_student import MultivariateStudent
        >>> p = MultivariateStudent(torch.zeros(2, 5), torch.ones(2, 5), torch.eye(2), torch.tensor(4.0))
        >>> p.variance[0, 0].item(), p.sample((3,)).shape
        (2.0, torch.Size([3, 2, 5]))
    """

    arg_constraints: dict[str, Any] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor, factor: Tensor, df: Tensor):
        self.loc, self.scale, self.factor, self.df = loc, scale, factor, df
        super().__init__(loc.shape[:-2], loc.shape[-2:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MultivariateStudent:
        shape = torch.Size(batch_shape) + self.event_shape
        return MultivariateStudent(self.loc.expand(shape), self.scale.expand(shape), self.factor, self.df)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        each = self.factor.square().sum(1, keepdim=True)
        return self.scale.square() * each * (self.df / (self.df - 2))

    def log_prob(self, x: Tensor) -> Tensor:
        series, nu = self.event_shape[0], self.df
        u = (x - self.loc) / self.scale
        with torch.autocast(u.device.type, enabled=False):
            # L is small: its inverse costs less than a solve for each step
            n = torch.linalg.solve_triangular(self.factor, torch.eye(series).to(u), upper=False) @ u
        constant = torch.lgamma((nu + series) / 2) - torch.lgamma(nu / 2) - series / 2 * (nu * math.pi).log()
        volume = self.factor.diagonal().log().sum() + self.scale.log().sum(-2)
        steps = constant - volume - (nu + series) / 2 * (n.square().sum(-2) / nu).log1p()
        return steps.sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.autocast(self.loc.device.type, enabled=False):
            n = self.factor @ self.loc.new_empty(shape).normal_()
        half = (self.df / 2).expand(*shape[:-2], 1, shape[-1])
        g = torch._standard_gamma(half.contiguous()) / half
        return self.loc + self.scale * n * g.rsqrt()
