"""The Hamiltonian posterior, whose draws follow the gradient of log p(x, z)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability, Input
from vaekit.distributions.hamiltonian import Hamiltonian as HamiltonianDistribution
from vaekit.distributions.precision import full_precision
from vaekit.posteriors.gaussian import Gaussian
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.spaces import Real, Space

LARGEST_STEP = 0.5  # larger leapfrog steps diverge


class Hamiltonian(Posterior):
    """q(z | x): a diagonal Gaussian, then tempered leapfrog steps along the gradient of log p(x, z).

    Caterini et al. 2018, algorithm 1. The step size of each dimension and the inverse temperature of the first step are
    learned. `log_prob` scores only its own draws, and only for rows without missing values.

    Args:
        context_shape: Shape of the features of a row followed by its x, (F + data_space.size,).
        space: The space of z.
        joint: log p(x, z) of the model in nats, as a function of x and z.
        data_space: The space of x.
        steps: Number of leapfrog steps; each takes one gradient of the decoder.
        step_size: The initial step size of every dimension, between 0 and 0.5.
        inverse_temperature: The initial inverse temperature beta_0 of the first step, between 0 and 1.

    Raises:
        Refusal: If `steps` is below 1, or `step_size` or `inverse_temperature` is outside its interval.

    References:
        Anthony Caterini, Arnaud Doucet, Dino Sejdinovic. Hamiltonian Variational Auto-Encoder. In NeurIPS 2018.
            https://arxiv.org/abs/1805.11328

    Example:
        >>> import torch
        >>> from vaekit.posteriors.hamiltonian import Hamiltonian
        >>> from vaekit.spaces import Real
        >>> def joint(x, z):
        ...     return -((x - z) ** 2 + z**2).sum(-1) / 2
        >>> q = Hamiltonian((8 + 2,), Real((2,)), joint, Real((2,)))(torch.randn(5, 10))
        >>> z = q.rsample()
        >>> q.log_prob(z).shape
        torch.Size([5])
    """

    latent = Real
    inputs = frozenset({Input.JOINT, Input.DATA_SPACE})
    # only the density of its own draws, and only for rows without missing values
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.WHOLE})

    def __init__(
        self,
        context_shape: tuple[int, ...],
        space: Real,
        joint: Callable[[Tensor, Tensor], Tensor],
        data_space: Space,
        steps: int = 3,
        step_size: float = 0.05,
        inverse_temperature: float = 0.5,
    ):
        super().__init__()
        at_least_one(steps=(steps, 3))
        for key, value, highest, default in (
            ("step_size", step_size, LARGEST_STEP, 0.05),
            ("inverse_temperature", inverse_temperature, 1.0, 0.5),
        ):
            if not 0 < value < highest:
                name = setting(key)
                raise Refusal(f"{name}={value} must lie between 0 and {highest:g}; use {name}={default}.")
        self.space, self.joint, self.data_space, self.steps = space, joint, data_space, steps
        self.gaussian = Gaussian((math.prod(context_shape) - data_space.size,), space)
        self.step_logit = nn.Parameter(torch.full((space.size,), logit(step_size / LARGEST_STEP)))
        self.inverse_temperature_logit = nn.Parameter(torch.tensor(logit(inverse_temperature)))

    def forward(self, context: Tensor) -> Distribution:
        features, x = context.split([context.shape[1] - self.data_space.size, self.data_space.size], 1)
        x = full_precision(x).unflatten(1, self.data_space.shape)
        return HamiltonianDistribution(
            self.gaussian(features),
            lambda z: self.joint(x.clone(), z),  # in evaluation, autograd can save only a clone
            LARGEST_STEP * self.step_logit.sigmoid(),
            self.inverse_temperature_logit.sigmoid(),
            self.steps,
        )


def logit(p: float) -> float:
    """log(p / (1 - p)), the inverse of the sigmoid.

    Args:
        p: A probability, between 0 and 1.
    """
    return math.log(p / (1 - p))
