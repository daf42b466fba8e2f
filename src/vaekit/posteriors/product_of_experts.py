"""The product of the experts of the modalities and the prior as posterior (MVAE)."""

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.capabilities import Capability
from vaekit.posteriors.experts import Experts


class ProductOfExperts(Experts):
    """q(z | x) = N(0, I) prod_m N(mu_m(x_m), diag(sigma_m(x_m)^2)), normalized, over the observed modalities m.

    Wu and Goodman 2018, section 2.1: its precision is the sum of the precisions, that of the prior expert included, its
    mean their precision-weighted mean. If nothing is observed it is N(0, I). It infers well from one modality alone
    only if trained so, with penalty=sub_sampling.

    Args:
        context_shape: (modalities * (F + 1),): the features of each modality, followed by 1 if it is observed, else 0.
        space: The space of z.
        modalities: Number of modalities.

    References:
        Mike Wu, Noah Goodman. Multimodal Generative Models for Scalable Weakly-Supervised Learning. In NeurIPS 2018.
            https://arxiv.org/abs/1802.05335

    Example:
        >>> import torch
        >>> from vaekit.posteriors.product_of_experts import ProductOfExperts
        >>> from vaekit.spaces import Real
        >>> posterior = ProductOfExperts((2 * 9,), Real((3,)), 2)
        >>> posterior(torch.zeros(1, 18)).stddev  # nothing is observed
        tensor([[1., 1., 1.]], grad_fn=...)
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
        # a head outputs mean times precision, because the gradient of a mean vanishes as its precision falls to 0
        weighted, precision, observed = self.experts(context)
        total = 1 + (precision * observed.unsqueeze(-1)).sum(-2)
        loc = (weighted * observed.unsqueeze(-1)).sum(-2) / total
        normal = Normal(loc, total.rsqrt(), validate_args=False)
        return Independent(normal, 1, validate_args=False)
