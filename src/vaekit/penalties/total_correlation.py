"""The penalty of the beta-TC-VAE."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.aggregate import AggregatePenalty
from vaekit.terms import Terms
from vaekit.vae import VAE


class TotalCorrelation(AggregatePenalty):
    """TC = KL(q(z) || prod_d q(z_d)) in nats, of the aggregate posterior q(z), estimated from the minibatch.

    Chen et al. 2018, equation 2 and appendix C. The rate of the ELBO already contains one TC, so a weight of beta - 1
    gives the beta-TC-VAE (equation 4 with alpha = gamma = 1). It depends on the batch as a set: its noise and its bias
    fall as the batch grows.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss: beta - 1 of the beta-TC-VAE.
        estimator: `stratified` or `weighted`, see `vaekit.penalties.aggregate.Aggregate`.

    Raises:
        Refusal: If `estimator` is unknown.

    References:
        Ricky Chen et al. Isolating Sources of Disentanglement in Variational Autoencoders. In NeurIPS 2018.
            https://arxiv.org/abs/1802.04942

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.batch import Batch
        >>> from vaekit.latents.tower import Step
        >>> from vaekit.penalties.total_correlation import TotalCorrelation
        >>> from vaekit.terms import Terms
        >>> p = Independent(Normal(torch.zeros(2), 1.0), 1)
        >>> z = torch.randn(1, 8, 2)   # [K, B, D]
        >>> terms = Terms(Batch(z[0]), [Step(z, p.expand([8]), p)], px=None, log_px=torch.zeros(1, 8))
        >>> TotalCorrelation(vae=None)(terms, None, epoch=None).abs()   # q(z) is N(0, I)
        tensor(0.)
    """

    requires = frozenset({Capability.RSAMPLE, Capability.DENSITY, Capability.FACTORISED, Capability.SINGLE_LEVEL})

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        joint, marginals = self.logs(terms)
        return (joint - marginals.sum(0)).mean()

    def logs(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """Estimates of log q(z), `[K, B]`, and of log q(z_d), `[D, K, B]`, at the draws, in nats."""
        (step,) = terms.steps
        log_q = step.q.base_dist.log_prob(step.z.unsqueeze(2)).flatten(3)  # type: ignore[union-attr]  # [K, i, j, D]
        return self.aggregate(log_q.sum(-1)), self.aggregate(log_q.movedim(-1, 0))
