"""The wrapped normal prior on the Poincare ball."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import wrapped_normal
from vaekit.priors.prior import Prior
from vaekit.spaces import Ball


class WrappedNormal(Prior):
    """p(z): the standard normal of the tangent space at the origin, wrapped onto the Poincare ball (Mathieu et al.
    2019).

    Args:
        space: The space of z.

    References:
        Emile Mathieu et al. Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders. In NeurIPS
            2019. https://arxiv.org/abs/1901.06033

    Example:
        >>> from vaekit.priors.wrapped_normal import WrappedNormal
        >>> from vaekit.spaces import Ball
        >>> bool((WrappedNormal(Ball((2,)))().sample((100,)).norm(dim=-1) < 1).all())
        True
    """

    latent = Ball
    learned = False
    loc: Tensor
    scale: Tensor

    def __init__(self, space: Ball):
        super().__init__()
        self.space = space
        self.register_buffer("loc", torch.zeros(space.shape), persistent=False)
        self.register_buffer("scale", torch.ones(space.shape), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return wrapped_normal.WrappedNormal(self.loc, self.scale)
