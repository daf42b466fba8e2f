"""A normalizing flow, conditioned on x, as posterior."""

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
    """q(z | x): a diagonal Gaussian, then any zuko flow; Gaussian and flow read x, the flow as `context` features.

    flow(features, context) builds it, e.g. `zuko.flows.MAF` or `NSF`. inverse: run its transformations backwards,
    which makes drawing one pass of an autoregressive flow (IAF, Kingma et al. 2016) rather than one pass per dimension.

    References:
        Danilo Jimenez Rezende, Shakir Mohamed. Variational Inference with Normalizing Flows. In ICML 2015.
            https://arxiv.org/abs/1505.05770
        (inverse=true) Diederik Kingma et al. Improving Variational Inference with Inverse Autoregressive Flow. In
            NeurIPS 2016. https://arxiv.org/abs/1606.04934
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
