"""Binary images and their labels."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions.pairs import Pairs
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Pairs as PairsSpace
from vaekit.spaces import Space


class Paired(Likelihood):
    """p(x | z) = p(image | z) p(label | z): Bernoulli pixels, and a softmax over the classes.

    Only observed modalities are scored; their log-probabilities are added without weights.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Mike Wu, Noah Goodman. Multimodal Generative Models for Scalable Weakly-Supervised Learning. In NeurIPS 2018.
            https://arxiv.org/abs/1802.05335

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.paired import Paired
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image, Pairs
        >>> space = Pairs.of(Image((1, 2, 2), bins=2), classes=3)
        >>> likelihood = Paired(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, *space.shape))   # nothing is observed
        tensor([0., 0., 0., 0., 0.], grad_fn=...)
    """

    values = frozenset({"pairs"})

    def __init__(self, space: Space, network: BuildNetwork):
        assert isinstance(space, PairsSpace)
        super().__init__(space, network, params=1)
        self.sizes = space.sizes

    def distribution(self, *params: Tensor) -> Distribution:
        image, label, _ = params[0].split(self.sizes, -1)
        return Pairs(image, label)

    def bias_at(self, mean: Tensor) -> Tensor:
        image, label, observed = mean.split(self.sizes)
        return torch.cat([image.clamp(0.001, 0.999).logit(), label.clamp(min=1e-4).log(), 0 * observed]).unsqueeze(0)
