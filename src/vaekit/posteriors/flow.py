"""A normalizing flow conditioned on x as posterior."""

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.flow import Flow as FlowDistribution
from vaekit.distributions.flow import zuko
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import glorot
from vaekit.posteriors.gaussian import Gaussian
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Real


class Flow(Posterior):
    """q(z | x): a diagonal Gaussian followed by any zuko flow, both conditioned on x.

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.
        flow: `flow(features, context)` builds the flow, e.g. `zuko.flows.MAF` or `zuko.flows.NSF`.
        context: Number of features of x that each transformation reads.
        inverse: Run the transformations backwards, so that a draw from an autoregressive flow takes one pass instead of
            one pass per dimension (IAF); with false, scoring takes one pass (MAF).

    References:
        Danilo Jimenez Rezende, Shakir Mohamed. Variational Inference with Normalizing Flows. In ICML 2015.
            https://arxiv.org/abs/1505.05770
        (inverse=true) Diederik Kingma et al. Improving Variational Inference with Inverse Autoregressive Flow. In
            NeurIPS 2016. https://arxiv.org/abs/1606.04934

    Example:
        >>> import torch
        >>> from vaekit.distributions.flow import zuko
        >>> from vaekit.posteriors.flow import Flow
        >>> from vaekit.spaces import Real
        >>> q = Flow((8,), Real((3,)), zuko.flows.MAF)(torch.randn(5, 8))
        >>> z = q.rsample()
        >>> z.shape, q.log_prob(z).shape
        (torch.Size([5, 3]), torch.Size([5]))
    """

    latent = Real
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY})

    def __init__(
        self,
        context_shape: tuple[int, ...],
        space: Real,
        flow: Callable[..., zuko.lazy.Flow],
        context: int = 64,
        inverse: bool = True,
    ):
        super().__init__()
        self.space = space
        self.gaussian = Gaussian(context_shape, space)
        self.context_proj = glorot(nn.Linear(math.prod(context_shape), context))
        transform = flow(space.size, context).transform
        self.transform = transform.inv if inverse else transform

    def forward(self, context: Tensor) -> Distribution:
        transform = self.transform(full_precision(self.context_proj(context)))
        return FlowDistribution(zuko.distributions.NormalizingFlow(transform, self.gaussian(context)))
