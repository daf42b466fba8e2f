"""Values in [0, 1] with a continuous Bernoulli distribution each."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions.modes import ContinuousBernoulli as ContinuousBernoulliDistribution
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Space


class ContinuousBernoulli(Likelihood):
    """p(x | z) proportional to p^x (1-p)^(1-x) on [0, 1]: the Bernoulli likelihood of gray values, normalized to a
    density.

    Loaiza-Ganem and Cunningham 2019.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Gabriel Loaiza-Ganem, John Cunningham. The continuous Bernoulli: fixing a pervasive error in variational
            autoencoders. In NeurIPS 2019. https://arxiv.org/abs/1907.06845

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.continuous_bernoulli import ContinuousBernoulli
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((1, 2, 2), bins=None)
        >>> likelihood = ContinuousBernoulli(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(1, 2)).log_prob(torch.zeros(1, 1, 2, 2)).abs()   # uniform at p = 1/2
        tensor([0.0], grad_fn=...)
    """

    values = frozenset({"unit"})

    def __init__(self, space: Space, network: BuildNetwork):
        super().__init__(space, network, params=1)

    def distribution(self, *params: Tensor) -> Distribution:
        return ContinuousBernoulliDistribution(logits=params[0].clamp(-15, 15), validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        """By bisection: the mean increases with the logit and has no inverse in closed form."""
        low, high = mean.new_full(mean.shape, -15.0), mean.new_full(mean.shape, 15.0)
        for _ in range(40):
            middle = (low + high) / 2
            below = self.distribution(middle).mean < mean
            low, high = middle.where(below, low), high.where(below, middle)
        return low.unsqueeze(0)
