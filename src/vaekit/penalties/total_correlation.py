"""The beta-TC-VAE's penalty."""

from typing import Any

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.aggregate import Aggregate
from vaekit.penalties.penalty import Penalty
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class TotalCorrelation(Penalty):
    """TC = KL(q(z) || prod_d q(z_d)) in nats, of the aggregate posterior q(z), estimated by minibatch.

    Chen et al. 2018, equation 2 and appendix C. The KL of the ELBO holds one TC already, so that a weight of beta - 1
    makes the beta-TC-VAE (equation 4 with alpha = gamma = 1). estimator: `stratified` or `weighted`. A statement about
    the batch as a set: its noise and, inside the log, its bias fall as the batch grows.

    References:
        Ricky Chen et al. Isolating Sources of Disentanglement in Variational Autoencoders. In NeurIPS 2018.
            https://arxiv.org/abs/1802.04942
    """

    requires = frozenset({Capability.RSAMPLE, Capability.DENSITY, Capability.FACTORISED, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, estimator: str = "stratified"):
        super().__init__(vae, weight)
        self.aggregate = Aggregate(estimator)

    def start_from(self, data: Any) -> None:
        self.aggregate.start_from(data)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        joint, marginals = self.logs(terms)
        return (joint - marginals.sum(0)).mean()

    def logs(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """Estimates of log q(z), `[K, B]`, and of log q(z_d), `[D, K, B]`, in nats at the draws."""
        (step,) = terms.steps
        log_q = step.q.base_dist.log_prob(step.z.unsqueeze(2)).flatten(3)  # type: ignore[union-attr]  # [K, i, j, D]
        return self.aggregate(log_q.sum(-1)), self.aggregate(log_q.movedim(-1, 0))
