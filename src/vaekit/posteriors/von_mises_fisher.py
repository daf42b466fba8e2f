"""The hyperspherical posterior."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions import von_mises_fisher
from vaekit.posteriors.directional import Direction
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Sphere


class VonMisesFisher(Posterior):
    """q(z | x) = vMF(mu(x), kappa(x)) on the unit sphere (Davidson et al. 2018).

    References:
        Tim Davidson et al. Hyperspherical Variational Auto-Encoders. In UAI 2018. https://arxiv.org/abs/1804.00891
    """

    latent = Sphere
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Sphere):
        super().__init__()
        self.space = space
        self.direction = Direction(context_shape, space.size)

    def forward(self, context: Tensor) -> Distribution:
        return von_mises_fisher.VonMisesFisher(*self.direction(context))
