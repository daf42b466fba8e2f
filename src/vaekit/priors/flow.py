"""A normalizing flow as prior."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import AffineTransform, Distribution

from vaekit.distributions.flow import Flow as FlowDistribution
from vaekit.distributions.flow import zuko
from vaekit.distributions.precision import full_precision
from vaekit.priors.prior import Prior
from vaekit.refusal import Refusal, choice
from vaekit.spaces import Real


class Flow(Prior):
    """p(z): any zuko flow of z, less `loc` and over `scale`, e.g. `zuko.flows.RealNVP` or `NSF`.

    flow(features, context) builds it. inverse: run its transformations backwards, which makes drawing one pass of an
    autoregressive flow (IAF) rather than one pass per dimension, and scoring the other way round. With a context_shape
    (F,) it is p(z | context), every transformation a function of the context `[..., F]`.

    References:
        Xi Chen et al. Variational Lossy Autoencoder. In ICLR 2017. https://arxiv.org/abs/1611.02731
        (inverse=true) Diederik Kingma et al. Improving Variational Inference with Inverse Autoregressive Flow. In
            NeurIPS 2016. https://arxiv.org/abs/1606.04934
    """

    latent = Real
    conditional = True
    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        space: Real,
        flow: Callable[..., zuko.lazy.Flow],
        inverse: bool = False,
        context_shape: tuple[int, ...] | None = None,
    ):
        super().__init__()
        if len(space.shape) != 1:
            raise Refusal(f"A flow is over vectors, not maps; use {choice('prior', 'gaussian')}.")
        self.space = space
        built = flow(space.size, context_shape[0] if context_shape else 0)
        self.flow = zuko.lazy.Flow(built.transform.inv, built.base) if inverse else built
        self.register_buffer("loc", torch.zeros(space.shape))
        self.register_buffer("scale", torch.ones(space.shape))

    def forward(self, context: Tensor | None = None) -> Distribution:
        flow = self.flow(None if context is None else full_precision(context))
        standardize = AffineTransform(-self.loc / self.scale, 1 / self.scale)
        return FlowDistribution(
            zuko.distributions.NormalizingFlow(
                zuko.transforms.ComposedTransform(standardize, flow.transform), flow.base
            )
        )

    def start_at(self, z: Tensor) -> None:
        """Start at the mean and the spread of codes z `[N, *space.shape]`."""
        self.loc.copy_(z.mean(0))
        self.scale.copy_(z.std(0))
