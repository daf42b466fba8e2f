"""A rate held at a capacity that grows."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.schedules.schedule import Schedule, at, refuse_below
from vaekit.terms import Terms
from vaekit.vae import VAE


class Capacity(Penalty):
    """|rate - C|, both in nats, the rate being the batch's mean.

    Burgess et al. 2018, equation 8, where `weight` is gamma and the ELBO's own rate is left out (objective.beta=0).
    nats: C, a schedule that rises.

    References:
        Christopher Burgess et al. Understanding Disentangling in beta-VAE. arXiv 2018. https://arxiv.org/abs/1804.03599
    """

    requires = frozenset({Capability.RSAMPLE, Capability.LOG_PROB})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, nats: float | Schedule = 25.0):
        super().__init__(vae, weight)
        refuse_below(0.0, penalty__capacity__nats=nats)
        self.nats = nats

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return (terms.rate.mean() - at(self.nats, epoch)).abs()
