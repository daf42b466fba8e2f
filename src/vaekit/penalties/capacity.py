"""A rate that is held at a growing capacity."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.schedules.schedule import Schedule, at, refuse_below
from vaekit.terms import Terms
from vaekit.vae import VAE


class Capacity(Penalty):
    """|rate - C|, with the mean rate of the batch and a capacity C, both in nats (Burgess et al. 2018, equation 8).

    The weight is the paper's gamma; objective.beta=0 drops the rate from the ELBO, as there.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        nats: The capacity C, a number or a schedule that increases.

    Raises:
        Refusal: If the final `nats` is below 0.

    References:
        Christopher Burgess et al. Understanding Disentangling in beta-VAE. arXiv 2018. https://arxiv.org/abs/1804.03599

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.penalties.capacity import Capacity
        >>> terms = SimpleNamespace(rate=torch.tensor([4.0, 8.0]))
        >>> Capacity(vae=None, nats=25.0)(terms, None, epoch=None)
        tensor(19.)
    """

    requires = frozenset({Capability.RSAMPLE, Capability.LOG_PROB})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, nats: float | Schedule = 25.0):
        super().__init__(vae, weight)
        refuse_below(0.0, penalty__capacity__nats=nats)
        self.nats = nats

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return (terms.rate.mean() - at(self.nats, epoch)).abs()
