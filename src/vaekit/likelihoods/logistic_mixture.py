"""Gray or color values by a mixture of discretized logistics."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions import logistic_mixture
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.refusal import at_least_one
from vaekit.spaces import Space


class LogisticMixture(Likelihood):
    """p(x | z): a mixture of discretized logistics for each pixel, autoregressive over its channels.

    Salimans et al. 2017 (PixelCNN++), as in VDVAE (Child 2021). The channels of a pixel are scored jointly, so that a
    missing one cannot be left out.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        components: Number of logistics for each pixel.

    Raises:
        Refusal: If `components` is below 1.

    References:
        Tim Salimans et al. PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
            Modifications. In ICLR 2017. https://arxiv.org/abs/1701.05517

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.logistic_mixture import LogisticMixture
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((3, 2, 2), bins=256)
        >>> likelihood = LogisticMixture(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 3, 2, 2)).shape
        torch.Size([5])
    """

    values = frozenset({"binary", "discrete"})
    gives = frozenset({Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork, components: int = 5):
        at_least_one(components=(components, 5))
        assert space.bins is not None
        self.bins, self.components, self.channels = space.bins, components, space.shape[0]
        # the network gives every value the same number of parameters: C of them share a pixel's coefficients
        self.pairs = self.channels * (self.channels - 1) // 2
        super().__init__(space, network, components * (3 + math.ceil(self.pairs / self.channels)))

    def distribution(self, *params: Tensor) -> Distribution:
        each = torch.stack(params, -4).unflatten(-4, (self.components, -1))  # [..., M, P, C, H, W]
        logits, loc, log_scale = each[..., :3, :, :, :].unbind(-4)
        coefficients = each[..., 3:, :, :, :].flatten(-4, -3)[..., : self.pairs, :, :].tanh()
        scale = log_scale.clamp(-7.0, 5.0).exp()
        return logistic_mixture.LogisticMixture(logits.sum(-3), loc, scale, coefficients, self.bins)

    def bias_at(self, mean: Tensor) -> Tensor:
        """Components next to each other around the mean, so that they differ from the start."""
        bias = torch.zeros_like(self.bias).unflatten(0, (self.components, -1))
        bias[:, 1] = mean + torch.linspace(-0.3, 0.3, self.components).to(mean).reshape(-1, 1, 1, 1)
        bias[:, 2] = math.log(0.1)
        return bias.flatten(0, 1)
