"""The hyperspherical posterior that is cheap to draw from."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions import power_spherical
from vaekit.posteriors.directional import Direction
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Sphere


class PowerSpherical(Posterior):
    """q(z | x) = PowerSpherical(mu(x), kappa(x)) (De Cao and Aziz 2020).

    References:
        Nicola De Cao, Wilker Aziz. The Power Spherical distribution. arXiv 2020. https://arxiv.org/abs/2006.04437
    """

    latent = Sphere
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Sphere):
        super().__init__()
        self.space = space
        self.direction = Direction(context_shape, space.size)

    def forward(self, context: Tensor) -> Distribution:
        return power_spherical.PowerSpherical(*self.direction(context))
