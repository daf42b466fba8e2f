"""The Gaussian posterior with a full covariance matrix."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.multivariate_normal import MultivariateNormal
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Real


class FullGaussian(Posterior):
    """q(z | x) = N(mu(x), L(x) L(x)^T), L lower triangular with a positive diagonal.

    Kingma and Welling 2019, section 2.5.1. The last layer has D (D + 3) / 2 outputs, which limits it to small D.

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.

    References:
        Diederik Kingma, Max Welling. An Introduction to Variational Autoencoders. Foundations and Trends in Machine
            Learning 2019. https://arxiv.org/abs/1906.02691

    Example:
        >>> import torch
        >>> from vaekit.posteriors.full_gaussian import FullGaussian
        >>> from vaekit.spaces import Real
        >>> FullGaussian((8,), Real((3,)))(torch.randn(5, 8)).covariance_matrix.shape
        torch.Size([5, 3, 3])
    """

    latent = Real
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Real):
        super().__init__()
        self.space = space
        self.lower = torch.tril_indices(space.size, space.size, offset=-1)
        self.head = head(context_shape, space.size, space.size, space.size, self.lower.shape[1])

    def forward(self, context: Tensor) -> Distribution:
        d = self.space.size
        loc, log_diagonal, lower = full_precision(self.head(context)).split([d, d, self.lower.shape[1]], -1)
        scale = torch.diag_embed(log_diagonal.exp())
        scale[..., self.lower[0], self.lower[1]] = lower
        return MultivariateNormal(loc, scale_tril=scale, validate_args=False)
