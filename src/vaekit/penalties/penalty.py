"""The base classes of penalties."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Penalty(nn.Module):
    """A term of the loss: `weight` times `forward`, a scalar for the batch.

    A subclass declares `requires`, what it requires of posterior, data and latents. A negative weight turns the penalty
    into a reward.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.penalties.capacity import Capacity
        >>> Capacity(vae=None, nats=25.0)(SimpleNamespace(rate=torch.tensor([4.0, 8.0])), None, epoch=None)
        tensor(19.)
    """

    requires: frozenset[Capability] = frozenset()

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        """The unweighted value of a batch, `[]`; `epoch` is the time for schedules, None for their final values."""
        raise NotImplementedError

    def start_from(self, data: Any) -> None:
        """Read what the penalty needs from the training data, before the first step."""


class Adversarial(Penalty):
    """A penalty with a `critic`, a network that has its own loss.

    The gradient of `critic_loss` reaches only the critic, and `forward` uses the critic `frozen`. So each of the two
    networks minimizes its own loss, and one backward pass of the sum of both losses is enough.
    """

    critic: Any

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        """The critic's loss of a batch, `[]`."""
        raise NotImplementedError


def posterior_draws(terms: Terms) -> Tensor:
    """The draws of z from the posterior, for one latent level.

    Args:
        terms: The terms of K draws for each of B rows.

    Returns:
        `[K, B, D]`, flat.
    """
    (step,) = terms.steps
    return step.z.flatten(2)


def prior_draws(terms: Terms) -> Tensor:
    """K draws from the prior for each row, for one latent level. They give a learned prior no gradient.

    Args:
        terms: The terms of K draws for each of B rows.

    Returns:
        `[K, B, D]`, flat.
    """
    (step,) = terms.steps
    p = step.p  # a conditional prior already has a batch shape [B]
    return p.sample(step.z.shape[: 2 - len(p.batch_shape)]).flatten(2)
