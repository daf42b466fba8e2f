"""Grey levels, by the mass of a logistic distribution around each."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import discretized_logistic
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Space


class DiscretizedLogistic(Likelihood):
    """p(x | z): a logistic with location and scale from the network, integrated over each grey level's bin.

    Salimans et al. 2017, equation 2 with one component. The number of levels is the data's. The scale starts at a
    tenth of the range.

    References:
        Tim Salimans et al. PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
            Modifications. In ICLR 2017. https://arxiv.org/abs/1701.05517
    """

    values = frozenset({"binary", "discrete"})

    def __init__(self, space: Space, network: Callable):
        super().__init__(space, network, params=2)
        assert space.levels is not None
        self.levels = space.levels

    def distribution(self, *params: Tensor) -> Distribution:
        loc, log_scale = params
        scale = log_scale.clamp(-7.0, 5.0).exp()  # beyond, a bin's mass is 0 or 1 in single precision
        return discretized_logistic.DiscretizedLogistic(loc, scale, self.levels)

    def bias_at(self, mean: Tensor) -> Tensor:
        return torch.stack([mean, torch.full_like(mean, math.log(0.1))])
