"""Mutual information of example and latent."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.aggregate import AggregatePenalty
from vaekit.terms import Terms
from vaekit.vae import VAE


class MutualInformation(AggregatePenalty):
    """I(x; z) = E[log q(z | x) - log q(z)] in nats, with the aggregate posterior q(z) estimated from the minibatch.

    Chen et al. 2018, appendix C. A batch of B examples shows at most log B nats; near that bound the estimate is noisy.
    A negative weight rewards information.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        estimator: `stratified` or `weighted`, see `vaekit.penalties.aggregate.Aggregate`.

    Raises:
        Refusal: If `estimator` is unknown.

    References:
        Matthew Hoffman, Matthew Johnson. ELBO Surgery: Yet Another Way to Carve up the Variational Evidence Lower
            Bound. In NeurIPS Workshop on Approximate Inference 2016.
            https://approximateinference.org/accepted/HoffmanJohnson2016.pdf
        Ricky Chen et al. Isolating Sources of Disentanglement in Variational Autoencoders. In NeurIPS 2018.
            https://arxiv.org/abs/1802.04942

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.batch import Batch
        >>> from vaekit.latents.tower import Step
        >>> from vaekit.penalties.mutual_information import MutualInformation
        >>> from vaekit.terms import Terms
        >>> p = Independent(Normal(torch.zeros(2), 1.0), 1)
        >>> z = torch.randn(1, 8, 2)   # [K, B, D]
        >>> terms = Terms(Batch(z[0]), [Step(z, p.expand([8]), p)], px=None, log_px=torch.zeros(1, 8))
        >>> MutualInformation(vae=None)(terms, None, epoch=None).abs()   # q(z | x) is p(z)
        tensor(0.)
    """

    requires = frozenset({Capability.RSAMPLE, Capability.DENSITY, Capability.CONTINUOUS, Capability.SINGLE_LEVEL})

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        (step,) = terms.steps
        log_q = step.q.log_prob(step.z.unsqueeze(2))  # type: ignore[union-attr]  # [K, i, j]
        return (log_q.diagonal(dim1=1, dim2=2) - self.aggregate(log_q)).mean()
