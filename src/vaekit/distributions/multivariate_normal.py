"""torch's Gaussians with a covariance matrix, in full precision under autocast."""

import torch
from torch import Tensor
from torch import distributions as of_torch
from torch.types import _size


class InFullPrecision:
    """A mixin that draws and scores in full precision, where networks run in a lower one."""

    loc: Tensor

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().rsample(sample_shape)  # type: ignore[misc]

    def log_prob(self, value: Tensor) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().log_prob(value)  # type: ignore[misc]


class MultivariateNormal(InFullPrecision, of_torch.MultivariateNormal):
    """N(loc, scale_tril scale_tril^T).

    Example:
        >>> import torch
        >>> from vaekit.distributions.multivariate_normal import MultivariateNormal
        >>> MultivariateNormal(torch.zeros(2), scale_tril=torch.eye(2)).log_prob(torch.zeros(2)).item()
        -1.8379
    """


class LowRankMultivariateNormal(InFullPrecision, of_torch.LowRankMultivariateNormal):
    """N(loc, cov_factor cov_factor^T + diag(cov_diag)). Its constructor multiplies matrices, too.

    Example:
        >>> import torch
        >>> from vaekit.distributions.multivariate_normal import LowRankMultivariateNormal
        >>> LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2)).covariance_matrix
        tensor([[2., 1.],
                [1., 2.]])
    """
