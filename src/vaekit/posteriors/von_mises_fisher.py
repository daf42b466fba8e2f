"""The von Mises-Fisher posterior on the unit sphere."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import von_mises_fisher
from vaekit.posteriors.directional import Directional


class VonMisesFisher(Directional):
    """q(z | x) = vMF(mu(x), kappa(x)) on the unit sphere (Davidson et al. 2018).

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.

    References:
        Tim Davidson et al. Hyperspherical Variational Auto-Encoders. In UAI 2018. https://arxiv.org/abs/1804.00891

    Example:
        >>> import torch
        >>> from vaekit.posteriors.von_mises_fisher import VonMisesFisher
        >>> from vaekit.spaces import Sphere
        >>> q = VonMisesFisher((8,), Sphere((3,)))(torch.randn(2, 8))
        >>> torch.allclose(q.rsample().norm(dim=1), torch.ones(2))
        True
    """

    def forward(self, context: Tensor) -> Distribution:
        return von_mises_fisher.VonMisesFisher(*self.direction(context))
