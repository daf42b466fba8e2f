"""The posterior without noise: the autoencoder."""

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

    References:
        none
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
