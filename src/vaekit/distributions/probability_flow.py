"""Distributions whose draws move from noise along a velocity field, and how such a field is fitted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints
from torch.func import vjp, vmap
from torch.types import _size
from torchdiffeq import odeint

from vaekit.distributions.precision import full_precision

EXACT_TRACE = 64  # dimensions up to which the divergence is exact; it takes a product with the Jacobian for each
SMALLEST_NOISE = 5e-3  # the standard deviation of the noise at which the bound on log p(z) ends
PathName = Literal["optimal_transport", "variance_preserving"]


class Point(NamedTuple):
    """The factors of y_t = signal y + noise eps at times t.

    Args:
        signal: Factor of y.
        noise: Factor of the noise eps, its standard deviation.
        signal_rate: Derivative of `signal` by t.
        noise_rate: Derivative of `noise` by t.
    """

    signal: Tensor
    noise: Tensor
    signal_rate: Tensor
    noise_rate: Tensor

    @property
    def turn(self) -> Tensor:
        """signal_rate noise - signal noise_rate: how fast the ratio of signal to noise changes, times noise^2."""
        return self.signal_rate * self.noise - self.signal * self.noise_rate


@dataclass(frozen=True)
class Path:
    """A path from noise at t = 0 to y at t = 1.

    Args:
        at: The `Point` at times t.
        time: The time at which the noise has a standard deviation, of [0, 1].

    Example:
        >>> import torch
        >>> from vaekit.distributions.probability_flow import PATHS
        >>> PATHS["optimal_transport"].at(torch.tensor(0.25)).noise
        tensor(0.7500)
    """

    at: Callable[[Tensor], Point]
    time: Callable[[Tensor], Tensor]


def _straight(t: Tensor) -> Point:
    return Point(t, 1 - t, torch.ones_like(t), -torch.ones_like(t))


def _circular(t: Tensor) -> Point:
    angle = t * torch.pi / 2
    signal, noise = angle.sin(), angle.cos()
    return Point(signal, noise, noise * torch.pi / 2, -signal * torch.pi / 2)


PATHS: dict[PathName, Path] = {
    "optimal_transport": Path(_straight, lambda noise: 1 - noise),
    "variance_preserving": Path(_circular, lambda noise: noise.acos() * 2 / torch.pi),
}


class ProbabilityFlow(Distribution):
    """loc + scale y, where y is at t = 1 of dy/dt = velocity(y, t), from a standard normal at t = 0.

    Lipman et al. 2023, https://arxiv.org/abs/2210.02747. The density is log p_0(y_0) minus the integral of the
    divergence along the path that leads to y, by the midpoint rule with a fixed number of steps: it integrates to 1 up
    to an error of order 1 / steps^2. Up to `EXACT_TRACE` dimensions the divergence is exact, beyond them Hutchinson's
    estimate with one probe, unbiased in log p.

    Args:
        velocity: `velocity(y, t)` of y `[..., *event_shape]` and a time t that broadcasts over `...`.
        path: The path that the velocity was fitted to.
        loc: What is added to y, `[*batch_shape, *event_shape]`.
        scale: What y is multiplied by, of the same shape.
        event_dims: Number of dimensions of the event.
        steps: Number of midpoint steps, each of two evaluations of the velocity.
        noise: Strength of the noise that draws get on their way (an SDE with the same marginals); 0 for the ODE.
        temperature: Standard deviation of y_0.
        drawn: The velocity of draws, where it is not that of the density.

    Example:
        >>> import torch
        >>> from vaekit.distributions.probability_flow import PATHS, ProbabilityFlow
        >>> zero, one = torch.zeros(2), torch.ones(2)
        >>> p = ProbabilityFlow(lambda y, t: torch.zeros_like(y), PATHS["optimal_transport"], zero, one, event_dims=1)
        >>> p.log_prob(torch.zeros(2)).item()  # a standard normal that does not move
        -1.8379
    """

    arg_constraints = {}
    has_rsample = True

    def __init__(
        self,
        velocity: Callable[[Tensor, Tensor], Tensor],
        path: Path,
        loc: Tensor,
        scale: Tensor,
        event_dims: int,
        steps: int = 20,
        noise: float = 0.0,
        temperature: float = 1.0,
        drawn: Callable[[Tensor, Tensor], Tensor] | None = None,
    ):
        self.velocity, self.drawn, self.path, self.loc, self.scale = velocity, drawn or velocity, path, loc, scale
        self.steps, self.noise, self.temperature = steps, noise, temperature
        lead = loc.dim() - event_dims
        self.dims = tuple(range(-event_dims, 0))  # of the event
        super().__init__(loc.shape[:lead], loc.shape[lead:], validate_args=False)

    @property
    def support(self) -> Any:
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: _size, _instance: Any = None) -> ProbabilityFlow:
        shape = torch.Size(batch_shape) + self.event_shape
        return self._with(loc=self.loc.expand(shape), scale=self.scale.expand(shape))

    def tempered(self, temperature: float) -> ProbabilityFlow:
        """y_0 with its standard deviation multiplied by the temperature."""
        return self._with(temperature=self.temperature * temperature)

    def _with(self, **changes: Any) -> ProbabilityFlow:
        same = {name: getattr(self, name) for name in _SETTINGS}
        return ProbabilityFlow(**same | changes, event_dims=len(self.event_shape))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with torch.autocast(self.loc.device.type, enabled=False):
            start = self.temperature * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            return self.loc + self.scale * self._diffuse(start) if self.noise else self.transport(start)

    def transport(self, start: Tensor) -> Tensor:
        """The z `[..., *event_shape]` to which the ODE leads from y_0 = `start`, of the same shape."""
        return self.loc + self.scale * self._integrate(lambda t, y: self.drawn(y, t), start, 0, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        recorded = torch.is_grad_enabled()  # the velocity is differentiated in evaluation too, without a graph of it
        with (
            torch.autocast(value.device.type, enabled=False),
            torch.inference_mode(False),
            torch.set_grad_enabled(recorded),
        ):
            y = self._standardize(value.clone())
            size = self.event_shape.numel()
            if size <= EXACT_TRACE:
                probes = torch.eye(size, dtype=y.dtype, device=y.device).reshape(size, *self.event_shape)
            else:
                probes = torch.randint_like(y, 2).unsqueeze(0) * 2 - 1

            def rates(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
                return self._velocity_and_divergence(state[0], t, probes)

            start, gathered = self._integrate(rates, (y, y.new_zeros(y.shape[: y.dim() - len(self.dims)])), 1, 0)
            log_start = Normal(0.0, self.temperature).log_prob(start) - self.scale.log()
            return log_start.sum(self.dims) + gathered

    def _standardize(self, z: Tensor) -> Tensor:
        return (full_precision(z) - self.loc) / self.scale

    def _velocity_and_divergence(self, y: Tensor, t: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity, and the sum of u . J u over probes u `[P, ..., *event_shape]` with its Jacobian J, `[...]`.

        With the P unit vectors this is the divergence, with one vector of random signs an unbiased estimate of it.
        """
        moved, pull_back, *_ = vjp(lambda y: self.velocity(y, t), y)

        def along(u: Tensor) -> Tensor:
            return (pull_back(u.expand_as(y))[0] * u).sum(self.dims)

        return moved, vmap(along)(probes).sum(0)

    def _integrate(self, function: Any, start: Any, begin: float, end: float) -> Any:
        def grid(_function: Any, _start: Any, t: Tensor) -> Tensor:
            return torch.linspace(t[0].item(), t[-1].item(), self.steps + 1, dtype=t.dtype, device=t.device)

        ends = torch.tensor([begin, end], dtype=self.loc.dtype, device=self.loc.device)  # whose states are kept
        path = odeint(function, start, ends, method="midpoint", options={"grid_constructor": grid})
        return tuple(each[-1] for each in path) if isinstance(path, tuple) else path[-1]

    def _diffuse(self, y: Tensor) -> Tensor:
        """y at t = 1 by Euler steps of an SDE that has the marginals of the ODE (Ma et al. 2024, equation 6)."""
        step = 1 / self.steps
        for number in range(self.steps):
            t = y.new_tensor(number * step)
            at, v = self.path.at(t), self.drawn(y, t)
            eps = (at.signal_rate * y - at.signal * v) / at.turn  # the score is -eps / at.noise
            y = y + step * (v - self.noise / 2 * eps)
            if number + 1 < self.steps:
                y = y + (self.noise * at.noise * step).sqrt() * torch.randn_like(y)
        return y

    # Fitting ---------------------------------------------------------------------------------------------------------

    def fitting_loss(self, z: Tensor) -> Tensor:
        """|velocity - dy_t / dt|^2 at a random time t for each z, `[...]`: its minimum is the flow to p(z).

        Times are logit-normal (Esser et al. 2024, equation 19), so that most are in the middle of the path.
        """
        y = self._standardize(z)
        return self._error(y, torch.randn_like(y.sum(self.dims)).sigmoid(), torch.randn_like(y))

    def rectifying_loss(self, z: Tensor, start: Tensor) -> Tensor:
        """|velocity - dy_t / dt|^2 at a uniform time t on the path from y_0 = `start` to z, `[...]`.

        Its minimum over draws z that another flow leads to from `start` has straighter paths to the same p(z), which
        take fewer steps (Liu et al. 2023, https://arxiv.org/abs/2209.03003).
        """
        y = self._standardize(z)
        return self._error(y, torch.rand_like(y.sum(self.dims)), start)

    def lower_bound(self, z: Tensor) -> Tensor:
        """An unbiased estimate of a lower bound on log p(z), `[...]`, nats, at the cost of one velocity.

        The bound of the diffusion from y to noise, Kingma et al. 2021, equation 11. The logarithm of the noise is
        uniform, and spread evenly over the rows.
        """
        y, span = self._standardize(z), -math.log(SMALLEST_NOISE)
        lead = y.shape[: y.dim() - len(self.dims)]
        places = torch.randperm(lead.numel(), device=y.device).reshape(lead) + torch.rand((), device=y.device)
        noise = (-span * places.to(y) / lead.numel()).exp()
        t = self.path.time(noise)
        at, last = self.path.at(t), self.path.at(self.path.time(noise.new_tensor(SMALLEST_NOISE)))
        weight = span * at.signal / (at.noise_rate.abs() * at.turn)
        entropy = 0.5 * math.log(2 * torch.pi * math.e) + (last.noise / last.signal).log()
        return -weight * self._error(y, t, torch.randn_like(y)) - (entropy + self.scale.log()).sum(self.dims)

    def _error(self, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        at = self.path.at(t.reshape(*t.shape, *[1] * len(self.dims)))
        v = full_precision(self.velocity(at.signal * y + at.noise * eps, t))
        return (v - at.signal_rate * y - at.noise_rate * eps).square().sum(self.dims)


_SETTINGS = ("velocity", "drawn", "path", "loc", "scale", "steps", "noise", "temperature")
