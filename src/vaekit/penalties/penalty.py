"""What all penalties share."""

from __future__ import annotations

from torch import Tensor, nn

from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Penalty(nn.Module):
    """A term of the loss beside the objective: `weight` times `forward`, a scalar for the whole batch.

    needs: what it reads of posterior, space and latents. vae: the one that it will be called on; only its shapes are
    read here. A negative weight rewards.

    A penalty with a `critic` also has `critic_loss(terms, vae)`, whose gradient the critic alone feels, while `forward`
    sees the critic `frozen`. So every player descends its own loss, and one backward pass of the sum serves them all.
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        """The unweighted value of a batch, `[]`. epoch: time since the start, for schedules; None for their end."""
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
