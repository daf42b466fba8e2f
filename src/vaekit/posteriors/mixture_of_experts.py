"""The mixture of the experts of the modalities as posterior (MMVAE)."""

from vaekit.posteriors.experts import Mixture
from vaekit.spaces import Real


class MixtureOfExperts(Mixture):
    """q(z | x) = 1/M sum_m N(mu_m(x_m), diag(sigma_m(x_m)^2)), over the M observed modalities.

    Shi et al. 2019, equation 3. Draws are stratified: if objective.outer, or objective.num_samples, is a multiple of M,
    each expert is drawn from equally often.

    Args:
        context_shape: (modalities * (F + 1),): the features of each modality, followed by 1 if it is observed, else 0.
        space: The space of z.
        modalities: Number of modalities.

    References:
        Yuge Shi et al. Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models. In NeurIPS
            2019. https://arxiv.org/abs/1911.03393

    Example:
        >>> import torch
        >>> from vaekit.posteriors.mixture_of_experts import MixtureOfExperts
        >>> from vaekit.spaces import Real
        >>> features, observed = torch.randn(5, 2, 8), torch.ones(5, 2, 1)
        >>> q = MixtureOfExperts((2 * 9,), Real((3,)), 2)(torch.cat([features, observed], -1).flatten(1))
        >>> q.rsample((4,)).shape
        torch.Size([4, 5, 3])
    """

    def __init__(self, context_shape: tuple[int, ...], space: Real, modalities: int):
        super().__init__(context_shape, space, modalities, [(m,) for m in range(modalities)])
