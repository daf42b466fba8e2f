"""Continuous values with heavier tails than the Gaussian's."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions import Laplace as LaplaceDistribution

from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Space

FLOOR = 1e-3  # below it a density can grow without bound


class Laplace(Likelihood):
    """p(x | z) = Laplace(mu(z), b), b one learned number: absolute instead of squared error, as a density.

    References:
        none
    """

    values = frozenset({"unit", "continuous"})

    def __init__(self, space: Space, network: Callable):
        super().__init__(space, network, params=1)
        self.log_scale = torch.nn.Parameter(torch.tensor(-1.0))

    def distribution(self, *params: Tensor) -> Distribution:
        return LaplaceDistribution(params[0], (self.log_scale.exp() + FLOOR).expand_as(params[0]), validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.unsqueeze(0)
