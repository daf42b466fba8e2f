"""Draws that have walked towards a target by tempered leapfrog steps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class Hamiltonian(Distribution):
    """z_0 ~ `start` with a momentum, moved together by tempered leapfrog steps that climb `log_density`.

    Caterini et al. 2018, https://arxiv.org/abs/1805.11328, algorithm 1 with fixed (quadratic) tempering. A leapfrog
    step keeps volumes, and tempering scales the momentum by known numbers, so that the pair's density is exact.
    `log_prob` scores the last draw alone, as log q(z_K, rho_K) - log N(rho_K; 0, I): with it, p(x, z) / q is an
    unbiased estimate of p(x), although the density of z_K by itself is not known.

    start: batch shape `[B]`, event shape `[D]`. log_density: z `[..., B, D]` -> `[..., B]`, in nats. step_size `[D]`.
    cold: the inverse temperature beta_0 in (0, 1] at which the walk begins; it ends at 1.
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        start: Distribution,
        log_density: Callable[[Tensor], Tensor],
        step_size: Tensor,
        cold: Tensor,
        steps: int,
    ):
        self.start, self.log_density, self.step_size, self.cold, self.steps = start, log_density, step_size, cold, steps
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(start.batch_shape, start.event_shape, validate_args=False)

    def rsample(self, sample_shape=torch.Size()) -> Tensor:
        z = self.start.rsample(sample_shape)
        momentum = torch.randn_like(z)
        log_q = self.start.log_prob(z) + standard_log_prob(momentum)
        z, momentum = self.walk(z, momentum / self.cold.sqrt())
        self._last = z, log_q - standard_log_prob(momentum)  # tempering undoes the first division's determinant
        return z

    def walk(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """z and momentum after the leapfrog steps; |det| of the map is cold^(D / 2)."""
        slope = self._slope(z)
        for k in range(1, self.steps + 1):
            momentum = momentum + self.step_size / 2 * slope
            z = z + self.step_size * momentum
            slope = self._slope(z)
            momentum = momentum + self.step_size / 2 * slope
            momentum = momentum * self._heat(k) / self._heat(k - 1)
        return z, momentum

    def _heat(self, k: int) -> Tensor:
        """beta_k^(-1/2), which falls with k^2 to 1."""
        first = self.cold.rsqrt()
        return first + (1 - first) * (k / self.steps) ** 2

    def _slope(self, z: Tensor) -> Tensor:
        """The gradient of the log density; itself differentiable where gradients are wanted."""
        wanted = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():  # in evaluation too
            z = z if z.requires_grad else z.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.log_density(z).sum(), z, create_graph=wanted)
        return slope

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and value is self._last[0]:
            return self._last[1]
        return super().log_prob(value)  # not known


def standard_log_prob(x: Tensor) -> Tensor:
    """log N(x; 0, I) of vectors `[..., D]`."""
    return torch.distributions.Normal(0.0, 1.0, validate_args=False).log_prob(x).sum(-1)
