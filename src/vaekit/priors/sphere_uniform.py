"""The uniform prior on the unit sphere."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import sphere
from vaekit.priors.prior import Prior
from vaekit.spaces import Sphere


class SphereUniform(Prior):
    """p(z) uniform on the unit sphere (Davidson et al. 2018).

    Args:
        space: The space of z.

    References:
        Tim Davidson et al. Hyperspherical Variational Auto-Encoders. In UAI 2018. https://arxiv.org/abs/1804.00891

    Example:
        >>> import torch
        >>> from vaekit.priors.sphere_uniform import SphereUniform
        >>> from vaekit.spaces import Sphere
        >>> SphereUniform(Sphere((3,)))().log_prob(torch.tensor([1.0, 0.0, 0.0])).item()   # -log(4 pi)
        -2.5310
    """

    latent = Sphere
    learned = False
    like: Tensor

    def __init__(self, space: Sphere):
        super().__init__()
        self.space = space
        self.register_buffer("like", torch.zeros(space.shape), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return sphere.SphereUniform(self.like)
