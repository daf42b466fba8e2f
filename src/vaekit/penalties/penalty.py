"""What all penalties share."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Penalty(nn.Module):
    """A term of the loss beside the objective: `weight` times `forward`, a scalar for the whole batch.

    requires: of posterior, space and latents. vae: the one that it will be called on; only its shapes are
    read here. A negative weight rewards.

    """

    requires: frozenset[Capability] = frozenset()

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        """The unweighted value of a batch, `[]`. epoch: time since the start, for schedules; None for their end."""
        raise NotImplementedError

    def start_from(self, data: Any) -> None:
        """Take what it needs of the training data, before the first step."""


class Adversarial(Penalty):
    """A penalty with a `critic`, a network with a loss of its own.

    The gradient of `critic_loss` reaches the critic alone, and `forward` reads the critic `frozen`. So each player
    descends its own loss, and one backward pass of the sum serves both.
    """

    critic: Any

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        """The critic's loss of a batch, `[]`."""
        raise NotImplementedError


def codes(terms: Terms) -> Tensor:
    """The draws from the posterior of the only level, flat: `[K, B, D]`."""
    (step,) = terms.steps
    return step.z.flatten(2)


def prior_codes(terms: Terms) -> Tensor:
    """As many draws from the prior, flat: `[K, B, D]`. No gradient reaches a learned prior through them."""
    (step,) = terms.steps
    p = step.p  # a conditional one is of each row already
    return p.sample(step.z.shape[: 2 - len(p.batch_shape)]).flatten(2)
