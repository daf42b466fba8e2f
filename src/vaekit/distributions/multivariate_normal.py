"""torch's Gaussians with a covariance, whose products of matrices autocast would run in a half precision."""

import torch
from torch import Tensor
from torch import distributions as of_torch


class InFullPrecision:
    """Drawn from and scored in full precision, where networks run in a lower one."""

    loc: Tensor

    def rsample(self, sample_shape=torch.Size()) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().rsample(sample_shape)  # type: ignore[misc]

    def log_prob(self, value: Tensor) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().log_prob(value)  # type: ignore[misc]


class MultivariateNormal(InFullPrecision, of_torch.MultivariateNormal):
    """N(loc, scale_tril scale_tril^T)."""


class LowRankMultivariateNormal(InFullPrecision, of_torch.LowRankMultivariateNormal):
    """N(loc, cov_factor cov_factor^T + diag(cov_diag)). It multiplies matrices where it is made, too."""
