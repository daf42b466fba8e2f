"""The Gaussian posterior with a low-rank plus diagonal covariance matrix."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.multivariate_normal import LowRankMultivariateNormal
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import glorot, set_initial_log_scales
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import Refusal, choice, setting
from vaekit.spaces import Real


class LowRankGaussian(Posterior):
    """q(z | x) = N(mu(x), diag(sigma(x)^2) + U(x) U(x)^T), U with `rank` columns.

    Rezende et al. 2014, section 4.3.

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.
        rank: Number of columns of U, at least 1.

    Raises:
        Refusal: If `rank` is below 1.

    References:
        Danilo Jimenez Rezende, Shakir Mohamed, Daan Wierstra. Stochastic Backpropagation and Approximate Inference in
            Deep Generative Models. In ICML 2014. https://arxiv.org/abs/1401.4082

    Example:
        >>> import torch
        >>> from vaekit.posteriors.low_rank_gaussian import LowRankGaussian
        >>> from vaekit.spaces import Real
        >>> LowRankGaussian((8,), Real((3,)), rank=1)(torch.randn(5, 8)).cov_factor.shape
        torch.Size([5, 3, 1])
    """

    latent = Real
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Real, rank: int = 4):
        super().__init__()
        if rank < 1:
            raise Refusal(
                f"{setting('rank')}={rank} must be at least 1; use {setting('rank')}=4, or "
                f"{choice('posterior', 'gaussian')}."
            )
        self.space = space
        self.head = glorot(nn.Linear(math.prod(context_shape), (2 + rank) * space.size))
        set_initial_log_scales(self.head, slice(space.size, 2 * space.size), space.size)

    def forward(self, context: Tensor) -> Distribution:
        out = full_precision(self.head(context)).unflatten(-1, (-1, self.space.size))
        with torch.autocast(out.device.type, enabled=False):
            return LowRankMultivariateNormal(
                out[..., 0, :], out[..., 2:, :].mT, (2 * out[..., 1, :]).exp(), validate_args=False
            )
