"""The mixture of products of experts over all subsets of the modalities as posterior (MoPoE)."""

from itertools import combinations

from vaekit.posteriors.experts import Mixture
from vaekit.spaces import Real


class MixtureOfProducts(Mixture):
    """q(z | x) = 1/S sum_s q(z | x_s), over the S non-empty subsets s of the observed modalities.

    Sutter et al. 2021, section 4. Each q(z | x_s) is the normalized product of the experts of its subset. A product has
    no prior expert, so that of one expert is that expert.

    Args:
        context_shape: (modalities * (F + 1),): the features of each modality, followed by 1 if it is observed, else 0.
        space: The space of z.
        modalities: Number of modalities.

    References:
        Thomas Sutter, Imant Daunhawer, Julia Vogt. Generalized Multimodal ELBO. In ICLR 2021.
            https://arxiv.org/abs/2105.02470

    Example:
        >>> import torch
        >>> from vaekit.posteriors.mixture_of_products import MixtureOfProducts
        >>> from vaekit.spaces import Real
        >>> features, observed = torch.randn(5, 2, 8), torch.ones(5, 2, 1)
        >>> q = MixtureOfProducts((2 * 9,), Real((3,)), 2)(torch.cat([features, observed], -1).flatten(1))
        >>> q.loc.shape  # of the subsets {0}, {1} and {0, 1}, and of none
        torch.Size([5, 4, 3])
    """

    def __init__(self, context_shape: tuple[int, ...], space: Real, modalities: int):
        sizes = range(1, modalities + 1)
        super().__init__(
            context_shape, space, modalities, [each for size in sizes for each in combinations(range(modalities), size)]
        )
