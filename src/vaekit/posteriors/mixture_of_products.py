"""The mixture over the products of all sets of the modalities' experts."""

from itertools import combinations

from vaekit.posteriors.experts import Mixture
from vaekit.spaces import Real


class MixtureOfProducts(Mixture):
    """q(z | x) = 1/S sum_s q(z | x_s), over the S sets of modalities that are not empty and all there, each q(z | x_s)
    the product of the experts of the set, normalised.

    Sutter et al. 2021, section 4. A product has no prior expert, so that of one expert is that expert.

    References:
        Thomas Sutter, Imant Daunhawer, Julia Vogt. Generalized Multimodal ELBO. In ICLR 2021.
            https://arxiv.org/abs/2105.02470
    """

    def __init__(self, context_shape: tuple[int, ...], space: Real, modalities: int):
        sizes = range(1, modalities + 1)
        super().__init__(
            context_shape, space, modalities, [each for size in sizes for each in combinations(range(modalities), size)]
        )
