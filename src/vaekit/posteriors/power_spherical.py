"""The power spherical posterior on the unit sphere."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions import power_spherical
from vaekit.posteriors.directional import Direction
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Sphere


class PowerSpherical(Posterior):
    """q(z | x) = PowerSpherical(mu(x), kappa(x)) on the unit sphere (De Cao and Aziz 2020).

    Similar to posterior=von_mises_fisher, but drawing and scoring are exact and cheap.

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.

    References:
        Nicola De Cao, Wilker Aziz. The Power Spherical distribution. arXiv 2020. https://arxiv.org/abs/2006.04437

    Example:
        >>> import torch
        >>> from vaekit.posteriors.power_spherical import PowerSpherical
        >>> from vaekit.spaces import Sphere
        >>> q = PowerSpherical((8,), Sphere((3,)))(torch.randn(2, 8))
        >>> torch.allclose(q.rsample().norm(dim=1), torch.ones(2))
        True
    """

    latent = Sphere
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Sphere):
        super().__init__()
        self.space = space
        self.direction = Direction(context_shape, space.size)

    def forward(self, context: Tensor) -> Distribution:
        return power_spherical.PowerSpherical(*self.direction(context))
