"""The power spherical posterior on the unit sphere."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import power_spherical
from vaekit.posteriors.directional import Directional


class PowerSpherical(Directional):
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

    def forward(self, context: Tensor) -> Distribution:
        return power_spherical.PowerSpherical(*self.direction(context))
