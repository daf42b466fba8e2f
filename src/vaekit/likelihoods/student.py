"""Continuous values with tails that may be as heavy as a power law's."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, StudentT
from torch.nn.functional import softplus

from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Real

FLOOR = 1e-3  # below it a density can grow without bound


class Student(Likelihood):
    """p(x | z): Student's t around mu(z), with a scale and degrees of freedom (above 2) learned for each value.

    Takahashi et al. 2018.

    Cite: Hiroshi Takahashi et al. Student-t Variational Autoencoder for Robust Density Estimation. In IJCAI 2018.
        https://www.ijcai.org/proceedings/2018/374
    """

    values = frozenset({"unit", "continuous"})

    def __init__(self, space: Real, network: Callable):
        super().__init__(space, network, params=1)
        self.log_scale = torch.nn.Parameter(torch.full(space.shape, -1.0))
        self.raw_freedom = torch.nn.Parameter(torch.full(space.shape, 3.0))

    def distribution(self, *params: Tensor) -> Distribution:
        scale, freedom = self.log_scale.exp() + FLOOR, 2 + softplus(self.raw_freedom)
        return StudentT(freedom.expand_as(params[0]), params[0], scale.expand_as(params[0]), validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.unsqueeze(0)
