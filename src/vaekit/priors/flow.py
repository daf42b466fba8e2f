"""A normalizing flow as prior."""

from collections.abc import Callable

from torch import Tensor
from torch.distributions import AffineTransform, Distribution

from vaekit.distributions.flow import Flow as FlowDistribution
from vaekit.distributions.flow import zuko
from vaekit.distributions.precision import full_precision
from vaekit.priors.prior import Standardized
from vaekit.refusal import Refusal, choice
from vaekit.spaces import Real


class Flow(Standardized):
    """p(z) by a zuko flow of standardized z, (z - loc) / scale, e.g. `zuko.flows.RealNVP` or `zuko.flows.NSF`.

    With a `context_shape` it is p(z | context): each transformation depends on a context `[..., F]`.

    Args:
        space: The space of z, which must be vectors.
        flow: `flow(features, context)` builds the flow from the sizes of z and of the context.
        inverse: Run the transformations backwards. An autoregressive flow then draws in one pass (IAF) rather than in
            one pass per dimension, and its density takes one pass per dimension.
        context_shape: The shape (F,) of the context; None for a prior without one.

    Raises:
        Refusal: If z are maps.

    References:
        Xi Chen et al. Variational Lossy Autoencoder. In ICLR 2017. https://arxiv.org/abs/1611.02731
        (inverse=true) Diederik Kingma et al. Improving Variational Inference with Inverse Autoregressive Flow. In
            NeurIPS 2016. https://arxiv.org/abs/1606.04934

    Example:
        >>> import zuko
        >>> from vaekit.priors.flow import Flow
        >>> from vaekit.spaces import Real
        >>> Flow(Real((2,)), zuko.flows.RealNVP)().sample((4,)).shape
        torch.Size([4, 2])
    """

    conditional = True

    def __init__(
        self,
        space: Real,
        flow: Callable[..., zuko.lazy.Flow],
        inverse: bool = False,
        context_shape: tuple[int, ...] | None = None,
    ):
        super().__init__(space)
        if len(space.shape) != 1:
            raise Refusal(f"A flow is over vectors, not maps; use {choice('prior', 'gaussian')}.")
        built = flow(space.size, context_shape[0] if context_shape else 0)
        self.flow = zuko.lazy.Flow(built.transform.inv, built.base) if inverse else built

    def forward(self, context: Tensor | None = None) -> Distribution:
        flow = self.flow(None if context is None else full_precision(context))
        standardize = AffineTransform(-self.loc / self.scale, 1 / self.scale)
        return FlowDistribution(
            zuko.distributions.NormalizingFlow(
                zuko.transforms.ComposedTransform(standardize, flow.transform), flow.base
            )
        )
