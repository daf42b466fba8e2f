"""A second VAE over z as prior."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.batch import Batch
from vaekit.distributions.estimated import Estimated
from vaekit.priors.prior import Prior
from vaekit.refusal import at_least_one
from vaekit.spaces import Real


class TwoStage(Prior):
    """p(z) = integral of p(z | u) p(u) du: a second VAE, whose data are the latents z of the first.

    p(z) is estimated by 1/K sum_k p(z, u_k) / q(u_k | z) with K draws u_k. The estimate is unbiased, so a lower bound
    on log p(x) remains one; its logarithm is on average below log p(z), and less so for larger K.

    Args:
        space: The space of z.
        second: `second(space)` builds the second VAE. In a configuration these are its parts.
        num_samples: Number K of draws of u for each z; 10 keep the cost of a training step low.

    Raises:
        Refusal: If `num_samples` is below 1.

    References:
        Bin Dai, David Wipf. Diagnosing and Enhancing VAE Models. In ICLR 2019. https://arxiv.org/abs/1903.05789

    Example:
        >>> from functools import partial
        >>> from vaekit.latents.single import Single
        >>> from vaekit.likelihoods.gaussian import Gaussian
        >>> from vaekit.networks.mlp import Decoder, Encoder
        >>> from vaekit.posteriors import gaussian
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.priors.two_stage import TwoStage
        >>> from vaekit.spaces import Real
        >>> from vaekit.vae import VAE
        >>> def second(space):
        ...     latents = Single((8,), gaussian.Gaussian, StandardNormal, Real, dim=2)
        ...     return VAE(Encoder(space, [8]), latents, Gaussian(space, partial(Decoder, (2,), space, hidden=[8])))
        >>> TwoStage(Real((4,)), second)().sample((3,)).shape
        torch.Size([3, 4])
    """

    latent = Real
    plans = frozenset({"second"})

    def __init__(
        self,
        space: Real,
        second: Callable[[Real], Any],
        num_samples: int = 10,
    ):
        super().__init__()
        at_least_one(num_samples=(num_samples, 10))
        self.space, self.num_samples = space, num_samples
        self.second = second(space)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Estimated(lambda n: self.second.sample(n, draw=True), self.log_estimate, self.space.shape)

    def log_estimate(self, z: Tensor) -> Tensor:
        """log of the estimate of p(z) in nats, `[N]`, for z `[N, *space.shape]`."""
        return self.second(Batch(z), self.num_samples).log_w.logsumexp(0) - math.log(self.num_samples)

    def start_at(self, z: Tensor) -> None:
        """Start the second VAE from its data, the latents z `[N, *space.shape]`."""
        self.second.start_from(_Latents(z))


class _Latents:
    """Latents z `[N, ...]` as training data."""

    def __init__(self, z: Tensor):
        self.z = z

    def mean(self) -> Tensor:
        return self.z.mean(0)

    def deviation(self) -> Tensor:
        return self.z.std(0, correction=0)

    def draw(self, n: int) -> Batch:
        return Batch(self.z[torch.randperm(len(self.z), device=self.z.device)[:n]])
