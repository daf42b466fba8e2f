"""Series side by side: heavy tails, a scale that changes in time, and a correlation across them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from vaekit.capabilities import Capability
from vaekit.distributions import multivariate_student
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Series, Space

FLOOR = 1e-2  # below it a density can grow without bound
START = -0.5  # of the scale's logarithm
SEEN = 2000  # windows that the correlation starts from


class MultivariateStudent(Likelihood):
    """p(x | z): at each step Student's t over all series, around mu(z) and with scale(z), a number each a step; its
    correlation and its degrees of freedom (above 2) are learned, the same at every step. Kotz and Nadarajah 2004.

    References:
        Hiroshi Takahashi et al. Student-t Variational Autoencoder for Robust Density Estimation. In IJCAI 2018.
            https://www.ijcai.org/proceedings/2018/374
    """

    values = frozenset({"continuous"})
    reads = Series
    gives = frozenset[Capability]()

    def __init__(self, space: Space, network: Callable):
        assert isinstance(space, Series)
        super().__init__(space, network, params=2)
        self.below = nn.Parameter(torch.zeros(space.shape[0], space.shape[0]))
        self.raw_freedom = nn.Parameter(torch.tensor(3.0))

    def distribution(self, *params: Tensor) -> Distribution:
        loc, log_scale = params
        factor = self.below.tril(-1) + torch.eye(len(self.below)).to(self.below)
        factor = factor / factor.norm(dim=1, keepdim=True)  # rows of a correlation's factor
        return multivariate_student.MultivariateStudent(
            loc, log_scale.exp() + FLOOR, factor, 2 + softplus(self.raw_freedom)
        )

    def bias_at(self, mean: Tensor) -> Tensor:
        return torch.stack([mean, torch.full_like(mean, START)])

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        """From the data's mean, and from the correlation of what was observed first."""
        super().start_from(data)
        values = data.sample("train", SEEN).x.to(self.below).transpose(0, 1).flatten(1)
        shrunk = 0.9 * torch.corrcoef(values).reshape(self.below.shape) + 0.1 * torch.eye(len(values)).to(values)
        factor = torch.linalg.cholesky(shrunk)
        self.below.copy_(factor / factor.diagonal().unsqueeze(1))
