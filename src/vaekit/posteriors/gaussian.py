"""The Gaussian posterior with a diagonal covariance matrix."""

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.capabilities import Capability
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Real


class Gaussian(Posterior):
    """q(z | x) = N(mu(x), diag(sigma(x)^2)), with mu and log sigma linear in the features.

    Kingma and Welling 2014, equation 9. z is a vector if the features are, and a map `(c, H, W)` if they are a map.

    Args:
        context_shape: Shape of the features of a row, (F,) or (C, H, W).
        space: The space of z.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114

    Example:
        >>> import torch
        >>> from vaekit.posteriors.gaussian import Gaussian
        >>> from vaekit.spaces import Real
        >>> q = Gaussian((8,), Real((3,)))(torch.randn(5, 8))
        >>> q.rsample((2,)).shape, q.log_prob(q.mean).shape
        (torch.Size([2, 5, 3]), torch.Size([5]))
    """

    latent = Real
    gives = frozenset(
        {
            Capability.RSAMPLE,
            Capability.LOG_PROB,
            Capability.DENSITY,
            Capability.FACTORISED,
            Capability.MEAN,
            Capability.MAPS,
            Capability.CODED,
        }
    )

    def __init__(self, context_shape: tuple[int, ...], space: Real):
        super().__init__()
        self.space = space
        self.head = head(context_shape, space.shape[0], space.shape[0], space.size)

    def forward(self, context: Tensor) -> Distribution:
        dims = len(self.space.shape)
        loc, log_scale = full_precision(self.head(context)).chunk(2, -dims)
        return Independent(Normal(loc, log_scale.exp(), validate_args=False), dims, validate_args=False)
