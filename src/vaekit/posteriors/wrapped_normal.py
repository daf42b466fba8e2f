"""The wrapped normal posterior on the Poincaré ball."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions import wrapped_normal
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Ball, poincare


class WrappedNormal(Posterior):
    """q(z | x): a normal distribution wrapped onto the Poincaré ball (Mathieu et al. 2019).

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.

    References:
        Emile Mathieu et al. Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders. In NeurIPS
            2019. https://arxiv.org/abs/1901.06033

    Example:
        >>> import torch
        >>> from vaekit.posteriors.wrapped_normal import WrappedNormal
        >>> from vaekit.spaces import Ball
        >>> q = WrappedNormal((8,), Ball((3,)))(torch.randn(5, 8))
        >>> bool((q.rsample().norm(dim=1) < 1).all())
        True
    """

    latent = Ball
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Ball):
        super().__init__()
        self.space = space
        self.head = head(context_shape, space.size, space.size, space.size)

    def forward(self, context: Tensor) -> Distribution:
        tangent, log_scale = full_precision(self.head(context.flatten(1))).chunk(2, 1)
        return wrapped_normal.WrappedNormal(poincare.exp0(tangent), log_scale.exp())
