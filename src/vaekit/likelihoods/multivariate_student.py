"""Parallel series with heavy tails, a scale that changes over time, and a correlation."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from vaekit.capabilities import Capability
from vaekit.distributions import multivariate_student
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Series, Space

FLOOR = 1e-2  # below it a density can grow without bound
START = -0.5  # of the scale's logarithm
NUM_WINDOWS = 2000  # number of windows that the correlation starts from


class MultivariateStudent(Likelihood):
    """p(x | z): at each time step a multivariate Student's t over all series, with location mu(z) and one scale(z) a
    step.

    The correlation of the series and the degrees of freedom (above 2) are learned, the same at every step. Kotz and
    Nadarajah 2004.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Hiroshi Takahashi et al. Student-t Variational Autoencoder for Robust Density Estimation. In IJCAI 2018.
            https://www.ijcai.org/proceedings/2018/374

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.multivariate_student import MultivariateStudent
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Series
        >>> space = Series((2, 4), names=["a", "b"], mean=[0, 0], deviation=[1, 1])
        >>> likelihood = MultivariateStudent(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2, 4)).shape
        torch.Size([5])
    """

    values = frozenset({"continuous"})
    reads = Series
    gives = frozenset[Capability]()

    def __init__(self, space: Space, network: BuildNetwork):
        assert isinstance(space, Series)
        super().__init__(space, network, params=2)
        self.lower_triangle = nn.Parameter(torch.zeros(space.shape[0], space.shape[0]))
        self.raw_df = nn.Parameter(torch.tensor(3.0))

    def distribution(self, *params: Tensor) -> Distribution:
        loc, log_scale = params
        factor = self.lower_triangle.tril(-1) + torch.eye(len(self.lower_triangle)).to(self.lower_triangle)
        factor = factor / factor.norm(dim=1, keepdim=True)  # rows of the Cholesky factor of a correlation matrix
        return multivariate_student.MultivariateStudent(loc, log_scale.exp() + FLOOR, factor, 2 + softplus(self.raw_df))

    def bias_at(self, mean: Tensor) -> Tensor:
        return torch.stack([mean, torch.full_like(mean, START)])

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        """Start from the mean of the data, and from the correlation of the first windows."""
        super().start_from(data)
        values = data.sample("train", NUM_WINDOWS).x.to(self.lower_triangle).transpose(0, 1).flatten(1)
        correlation = 0.9 * torch.corrcoef(values).reshape(self.lower_triangle.shape) + 0.1 * torch.eye(len(values)).to(
            values
        )
        factor = torch.linalg.cholesky(correlation)
        self.lower_triangle.copy_(factor / factor.diagonal().unsqueeze(1))
