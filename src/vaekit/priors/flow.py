"""A normalizing flow as prior."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.distributions.flow import Flow as FlowDistribution
from vaekit.distributions.flow import zuko
from vaekit.spaces import Real


class Flow(nn.Module):
    """p(z): any zuko flow, e.g. `zuko.flows.RealNVP` or `NSF` (Chen et al. 2017, https://arxiv.org/abs/1611.02731).

    flow(features) builds it.
    """

    latent = Real
    needs = frozenset[str]()
    asks = frozenset[str]()

    def __init__(self, space: Real, flow: Callable[..., zuko.lazy.Flow]):
        super().__init__()
        self.space = space
        self.flow = flow(space.size)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return FlowDistribution(self.flow(None))
