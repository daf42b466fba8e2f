"""The Gaussian posterior with a full covariance."""

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

    Kingma and Welling 2019, section 2.5.1.

    References:
        Diederik Kingma, Max Welling. An Introduction to Variational Autoencoders. Foundations and Trends in Machine
            Learning 2019. https://arxiv.org/abs/1906.02691
    """

    latent = Real
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Real):
        super().__init__()
        self.space = space
        self.below = torch.tril_indices(space.size, space.size, offset=-1)
        self.head = head(context_shape, space.size, space.size, space.size, self.below.shape[1])

    def forward(self, context: Tensor) -> Distribution:
        d = self.space.size
        loc, log_diagonal, below = full_precision(self.head(context)).split([d, d, self.below.shape[1]], -1)
        scale = torch.diag_embed(log_diagonal.exp())
        scale[..., self.below[0], self.below[1]] = below
        return MultivariateNormal(loc, scale_tril=scale, validate_args=False)
