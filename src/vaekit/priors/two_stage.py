"""A second VAE, over z, as prior."""

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
    """p(z), the integral of p(z | u) p(u) over u: a VAE whose data are the codes z.

    second(space) builds it; in a configuration it is its parts, each of which may be any that fits. num_samples: draws
    of u for each z, by which p(z) is estimated. The estimate, 1/K sum_k p(z, u_k) / q(u_k | z), is right on average, so
    that a lower bound on log p(x) stays one with it; the more samples, the tighter. Its log is a lower bound on
    log p(z), on average.

    References:
        Bin Dai, David Wipf. Diagnosing and Enhancing VAE Models. In ICLR 2019. https://arxiv.org/abs/1903.05789
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
        """The log of the estimate of p(z), `[N]`, in nats."""
        return self.second(Batch(z), self.num_samples).log_w.logsumexp(0) - math.log(self.num_samples)

    def start_at(self, z: Tensor) -> None:
        """Start as any VAE does from its data, here the codes z `[N, *space.shape]`."""
        self.second.start_from(Codes(z))


class Codes:
    """z `[N, ...]` as the data that parts start from."""

    def __init__(self, z: Tensor):
        self.z = z

    def mean(self) -> Tensor:
        return self.z.mean(0)

    def draw(self, n: int) -> Batch:
        return Batch(self.z[torch.randperm(len(self.z), device=self.z.device)[:n]])
