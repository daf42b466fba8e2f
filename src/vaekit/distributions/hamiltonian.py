"""A distribution whose draws move by tempered leapfrog steps towards a target density."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size


class Hamiltonian(Distribution):
    """z_0 ~ `initial` with a random momentum, moved by tempered leapfrog steps along the gradient of `log_density`.

    Caterini et al. 2018, https://arxiv.org/abs/1805.11328, algorithm 1 with fixed (quadratic) tempering. A leapfrog
    step preserves volume and tempering scales the momentum by known numbers, so the joint density of z_K and its
    momentum rho_K is exact. `log_prob` scores the last draw alone, as log q(z_K, rho_K) - log N(rho_K; 0, I): with it,
    p(x, z) / q is an unbiased estimate of p(x), although the density of z_K alone is unknown.

    Args:
        initial: Batch shape `[B]`, event shape `[D]`.
        log_density: Maps z `[..., B, D]` to `[..., B]`, in nats.
        step_size: Of each dimension, `[D]`.
        inverse_temperature: beta_0 of the first step, `[]`, in (0, 1]; it rises to 1.
        steps: Number of leapfrog steps.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.distributions.hamiltonian import Hamiltonian
        >>> initial = Independent(Normal(torch.zeros(5, 2), 1.0), 1)
        >>> q = Hamiltonian(initial, lambda z: -(z - 1).square().sum(-1), torch.full((2,), 0.1), torch.tensor(0.5), 3)
        >>> z = q.rsample()
        >>> q.log_prob(z).shape
        torch.Size([5])
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        initial: Distribution,
        log_density: Callable[[Tensor], Tensor],
        step_size: Tensor,
        inverse_temperature: Tensor,
        steps: int,
    ):
        self.initial, self.log_density, self.step_size, self.inverse_temperature, self.steps = (
            initial,
            log_density,
            step_size,
            inverse_temperature,
            steps,
        )
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(initial.batch_shape, initial.event_shape, validate_args=False)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        z = self.initial.rsample(sample_shape)
        momentum = torch.randn_like(z)
        log_q = self.initial.log_prob(z) + standard_log_prob(momentum)
        z, momentum = self.leapfrog(z, momentum / self.inverse_temperature.sqrt())
        self._last = z, log_q - standard_log_prob(momentum)  # tempering cancels the determinant of the first division
        return z

    def leapfrog(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """z and momentum after all steps; the log-determinant of the map is D / 2 log `inverse_temperature`."""
        slope = self._slope(z)
        for k in range(1, self.steps + 1):
            momentum = momentum + self.step_size / 2 * slope
            z = z + self.step_size * momentum
            slope = self._slope(z)
            momentum = momentum + self.step_size / 2 * slope
            momentum = momentum * self._momentum_scale(k) / self._momentum_scale(k - 1)
        return z, momentum

    def _momentum_scale(self, k: int) -> Tensor:
        """beta_k^(-1/2), which falls with k^2 to 1."""
        first = self.inverse_temperature.rsqrt()
        return first + (1 - first) * (k / self.steps) ** 2

    def _slope(self, z: Tensor) -> Tensor:
        """The gradient of the log density; differentiable if gradients are enabled."""
        differentiable = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():  # in evaluation too
            z = z if z.requires_grad else z.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.log_density(z).sum(), z, create_graph=differentiable)
        return slope

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and value is self._last[0]:
            return self._last[1]
        return super().log_prob(value)  # raises: the density of other points is unknown


def standard_log_prob(x: Tensor) -> Tensor:
    """log N(x; 0, I), in nats.

    Args:
        x: Vectors `[..., D]`.
    """
    return torch.distributions.Normal(0.0, 1.0, validate_args=False).log_prob(x).sum(-1)
