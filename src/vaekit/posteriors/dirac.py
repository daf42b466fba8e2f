"""The deterministic posterior of an autoencoder."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.delta import Delta
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Real


class Dirac(Posterior):
    """q(z | x) = delta(z - mu(x)): no density, so no rate; for autoencoders, WAE (Tolstikhin et al. 2018) and RAE.

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.

    References:
        none

    Example:
        >>> import torch
        >>> from vaekit.posteriors.dirac import Dirac
        >>> from vaekit.spaces import Real
        >>> q = Dirac((8,), Real((3,)))(torch.randn(5, 8))
        >>> torch.equal(q.sample(), q.mean)
        True
    """

    latent = Real
    gives = frozenset({Capability.RSAMPLE, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Real):
        super().__init__()
        self.space = space
        self.head = head(context_shape, space.size)

    def forward(self, context: Tensor) -> Distribution:
        point = full_precision(self.head(context.flatten(1)))
        return Delta(point.unflatten(1, self.space.shape), len(self.space.shape))
