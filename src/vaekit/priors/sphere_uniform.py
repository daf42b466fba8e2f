"""The uniform prior on the unit sphere."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import sphere
from vaekit.priors.prior import Prior
from vaekit.spaces import Sphere


class SphereUniform(Prior):
    """p(z) uniform on the unit sphere (Davidson et al. 2018).

    References:
        Tim Davidson et al. Hyperspherical Variational Auto-Encoders. In UAI 2018. https://arxiv.org/abs/1804.00891
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
