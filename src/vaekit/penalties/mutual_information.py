"""What a code tells of its example."""

from typing import Any

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.aggregate import Aggregate
from vaekit.penalties.penalty import Penalty
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class MutualInformation(Penalty):
    """I(x; z) = E log q(z | x) - log q(z) in nats, of the aggregate posterior q(z), estimated by minibatch.

    q(z) is estimated as by Chen et al. 2018, appendix C: estimator `stratified` or `weighted`. A statement about the
    batch as a set: B examples show at most log B nats, and above that the estimate is noisy. A negative weight rewards
    information.

    References:
        Matthew Hoffman, Matthew Johnson. ELBO Surgery: Yet Another Way to Carve up the Variational Evidence Lower
            Bound. In NeurIPS Workshop on Approximate Inference 2016.
            https://approximateinference.org/accepted/HoffmanJohnson2016.pdf
        Ricky Chen et al. Isolating Sources of Disentanglement in Variational Autoencoders. In NeurIPS 2018.
            https://arxiv.org/abs/1802.04942
    """

    requires = frozenset({Capability.RSAMPLE, Capability.DENSITY, Capability.CONTINUOUS, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, estimator: str = "stratified"):
        super().__init__(vae, weight)
        self.aggregate = Aggregate(estimator)

    def start_from(self, data: Any) -> None:
        self.aggregate.start_from(data)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        (step,) = terms.steps
        log_q = step.q.log_prob(step.z.unsqueeze(2))  # type: ignore[union-attr]  # [K, i, j]
        return (log_q.diagonal(dim1=1, dim2=2) - self.aggregate(log_q)).mean()
