"""The product of the modalities' experts and the prior."""

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.capabilities import Capability
from vaekit.posteriors.experts import Experts


class ProductOfExperts(Experts):
    """q(z | x) = N(0, I) prod_m N(mu_m(x_m), diag(sigma_m(x_m)^2)), normalised, m among the modalities that are there.

    Wu and Goodman 2018, section 2.1: precisions add up, that of the prior expert among them, and means are weighed by
    them. Of nothing it is N(0, I). Each modality is read alone only where training does so too: penalty=sub_sampling.

    References:
        Mike Wu, Noah Goodman. Multimodal Generative Models for Scalable Weakly-Supervised Learning. In NeurIPS 2018.
            https://arxiv.org/abs/1802.05335
    """

    gives = frozenset(
        {
            Capability.RSAMPLE,
            Capability.LOG_PROB,
            Capability.DENSITY,
            Capability.FACTORISED,
            Capability.MEAN,
            Capability.CODED,
        }
    )

    def forward(self, context: Tensor) -> Distribution:
        # each head gives its mean times its precision: a mean alone loses its gradient as the precision falls to 0
        weighted, precision, there = self.experts(context)
        total = 1 + (precision * there.unsqueeze(-1)).sum(-2)
        loc = (weighted * there.unsqueeze(-1)).sum(-2) / total
        normal = Normal(loc, total.rsqrt(), validate_args=False)
        return Independent(normal, 1, validate_args=False)
