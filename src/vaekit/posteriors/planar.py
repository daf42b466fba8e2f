"""A chain of planar transformations conditioned on x as posterior."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.flow import Flow as FlowDistribution
from vaekit.distributions.flow import zuko
from vaekit.distributions.planar import Planar as PlanarTransform
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import glorot, set_initial_log_scales
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import at_least_one
from vaekit.spaces import Real


class Planar(Posterior):
    """q(z | x): a diagonal Gaussian, then `length` planar transformations, all conditioned on x.

    Rezende and Mohamed 2015, section 4.1.

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.
        length: Number of transformations, at least 1.

    Raises:
        Refusal: If `length` is below 1.

    References:
        Danilo Jimenez Rezende, Shakir Mohamed. Variational Inference with Normalizing Flows. In ICML 2015.
            https://arxiv.org/abs/1505.05770

    Example:
        >>> import torch
        >>> from vaekit.posteriors.planar import Planar
        >>> from vaekit.spaces import Real
        >>> q = Planar((8,), Real((3,)), length=2)(torch.randn(5, 8))
        >>> q.log_prob(q.rsample()).shape
        torch.Size([5])
    """

    latent = Real
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY})

    def __init__(self, context_shape: tuple[int, ...], space: Real, length: int = 5):
        super().__init__()
        at_least_one(length=(length, 5))
        self.space, self.length = space, length
        self.head = glorot(nn.Linear(math.prod(context_shape), 2 * space.size + length * (2 * space.size + 1)))
        set_initial_log_scales(self.head, slice(space.size, 2 * space.size), space.size)
        for start in range(2 * space.size, len(self.head.weight), 2 * space.size + 1):
            nn.init.zeros_(self.head.weight[start : start + space.size])  # u = 0: the chain starts as the identity

    def forward(self, context: Tensor) -> Distribution:
        d = self.space.size
        out = full_precision(self.head(context))
        loc, log_scale = out[..., : 2 * d].chunk(2, -1)
        normal = torch.distributions.Normal(loc, log_scale.exp(), validate_args=False)
        chain = out[..., 2 * d :].unflatten(-1, (self.length, 2 * d + 1)).unbind(-2)
        transforms = [PlanarTransform(each[..., :d], each[..., d:-1], each[..., -1]) for each in chain]
        # zuko's flows map towards the base; these map away from it
        to_base = zuko.transforms.ComposedTransform(*[each.inv for each in reversed(transforms)])
        base = torch.distributions.Independent(normal, 1, validate_args=False)
        return FlowDistribution(zuko.distributions.NormalizingFlow(to_base, base))
