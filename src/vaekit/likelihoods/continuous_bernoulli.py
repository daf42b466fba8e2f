"""Values between 0 and 1, by the normalised form of the Bernoulli's score."""

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions.modes import ContinuousBernoulli as ContinuousBernoulliDistribution
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Space


class ContinuousBernoulli(Likelihood):
    """p(x | z) proportional to p^x (1-p)^(1-x) on [0, 1]: the Bernoulli score of grey values, made a density.

    Loaiza-Ganem and Cunningham 2019.

    References:
        Gabriel Loaiza-Ganem, John Cunningham. The continuous Bernoulli: fixing a pervasive error in variational
            autoencoders. In NeurIPS 2019. https://arxiv.org/abs/1907.06845
    """

    values = frozenset({"unit"})

    def __init__(self, space: Space, network: Callable):
        super().__init__(space, network, params=1)

    def distribution(self, *params: Tensor) -> Distribution:
        return ContinuousBernoulliDistribution(logits=params[0].clamp(-15, 15), validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        """By bisection: the mean rises with the logit, and has no inverse in closed form."""
        low, high = mean.new_full(mean.shape, -15.0), mean.new_full(mean.shape, 15.0)
        for _ in range(40):
            middle = (low + high) / 2
            below = self.distribution(middle).mean < mean
            low, high = middle.where(below, low), high.where(below, middle)
        return low.unsqueeze(0)
