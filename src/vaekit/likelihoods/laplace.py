"""Continuous values with a Laplace distribution each."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions import Laplace as LaplaceDistribution

from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood, start_scale
from vaekit.spaces import Space

FLOOR = 1e-3  # below it a density can grow without bound
START = -1.0  # of the logarithm of b, where the data are not known


class Laplace(Likelihood):
    """p(x | z) = Laplace(mu(z), b), with one learned b: a density whose log is the absolute instead of the squared
    error.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        none

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.laplace import Laplace
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Real
        >>> space = Real((3,))
        >>> likelihood = Laplace(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 3)).shape
        torch.Size([5])
    """

    values = frozenset({"unit", "continuous"})

    def __init__(self, space: Space, network: BuildNetwork):
        super().__init__(space, network, params=1)
        self.log_scale = torch.nn.Parameter(torch.tensor(START))

    def distribution(self, *params: Tensor) -> Distribution:
        return LaplaceDistribution(params[0], (self.log_scale.exp() + FLOOR).expand_as(params[0]), validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.unsqueeze(0)

    def start_from(self, data: Any) -> None:
        super().start_from(data)
        start_scale(self.log_scale, data, 0.5**0.5, FLOOR)
