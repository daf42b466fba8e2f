"""Values in [0, 1] with a beta distribution each."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import modes
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Space


class Beta(Likelihood):
    """p(x | z) = Beta(1 + exp(a(z)), 1 + exp(b(z))) on [0, 1].

    Both parameters are above 1, so that the density is bounded.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        none

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.beta import Beta
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((1, 2, 2), bins=None)
        >>> likelihood = Beta(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(3, 2)).log_prob(torch.full((3, 1, 2, 2), 0.5)).shape
        torch.Size([3])
    """

    values = frozenset({"unit"})

    def __init__(self, space: Space, network: BuildNetwork):
        super().__init__(space, network, params=2)

    def distribution(self, *params: Tensor) -> Distribution:
        a, b = (1 + each.clamp(-10, 10).exp() for each in params)
        return modes.Beta(a, b, validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        odds = mean.clamp(0.01, 0.99) / (1 - mean.clamp(0.01, 0.99))
        return torch.stack([1.1 * odds.clamp_min(1) - 1, 1.1 * (1 / odds).clamp_min(1) - 1]).log()
