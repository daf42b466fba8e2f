"""Student's t over several series at once, step after step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class MultivariateStudent(Distribution):
    """x `[..., series, T]`: at each step loc + scale * (L n) / sqrt(g), with normal n and g ~ chi2(freedom) / freedom.

    loc, scale: `[..., series, T]`. factor: L `[series, series]`, lower triangular, diagonal above 0. freedom: `[]`,
    above 2. What makes a step extreme, g, is shared by all series: they crash together. Kotz and Nadarajah 2004.
    """

    arg_constraints: dict[str, Any] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor, factor: Tensor, freedom: Tensor):
        self.loc, self.scale, self.factor, self.freedom = loc, scale, factor, freedom
        super().__init__(loc.shape[:-2], loc.shape[-2:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MultivariateStudent:
        shape = torch.Size(batch_shape) + self.event_shape
        return MultivariateStudent(self.loc.expand(shape), self.scale.expand(shape), self.factor, self.freedom)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        each = self.factor.square().sum(1, keepdim=True)
        return self.scale.square() * each * (self.freedom / (self.freedom - 2))

    def log_prob(self, x: Tensor) -> Tensor:
        series, nu = self.event_shape[0], self.freedom
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
        half = (self.freedom / 2).expand(*shape[:-2], 1, shape[-1])
        g = torch._standard_gamma(half.contiguous()) / half
        return self.loc + self.scale * n * g.rsqrt()
