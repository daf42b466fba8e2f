"""The mixture of the modalities' experts."""

from vaekit.posteriors.experts import Mixture
from vaekit.spaces import Real


class MixtureOfExperts(Mixture):
    """q(z | x) = 1/M sum_m N(mu_m(x_m), diag(sigma_m(x_m)^2)), over the M modalities that are there.

    Shi et al. 2019, equation 3. Draws are stratified: objective.outer, or objective.num_samples, as a multiple of M
    takes each expert as often.

    References:
        Yuge Shi et al. Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models. In NeurIPS
            2019. https://arxiv.org/abs/1911.03393
    """

    def __init__(self, context_shape: tuple[int, ...], space: Real, modalities: int):
        super().__init__(context_shape, space, modalities, [(m,) for m in range(modalities)])
