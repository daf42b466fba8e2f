"""Continuous values with a Student's t distribution each."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, StudentT
from torch.nn.functional import softplus

from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood, start_scale
from vaekit.refusal import one_of
from vaekit.spaces import Space

FLOOR = 1e-3  # below it a density can grow without bound
START = -1.0  # of the scale's logarithm, where the data are not known


class Student(Likelihood):
    """p(x | z): Student's t around mu(z), with degrees of freedom (above 2) learned for each value (Takahashi et al.
    2018).

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        scale: `value` (one learned scale for each value) or `pixel` (scale(z) of each value, from the network).

    Raises:
        Refusal: If `scale` is unknown.

    References:
        Hiroshi Takahashi et al. Student-t Variational Autoencoder for Robust Density Estimation. In IJCAI 2018.
            https://www.ijcai.org/proceedings/2018/374

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.student import Student
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Real
        >>> space = Real((3,))
        >>> likelihood = Student(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 3)).shape
        torch.Size([5])
    """

    values = frozenset({"unit", "continuous"})

    def __init__(self, space: Space, network: BuildNetwork, scale: str = "value"):
        one_of(scale=(scale, ("value", "pixel")))
        super().__init__(space, network, params=2 if scale == "pixel" else 1)
        self.log_scale = torch.nn.Parameter(torch.full(space.shape, START)) if scale == "value" else None
        self.raw_df = torch.nn.Parameter(torch.full(space.shape, 3.0))

    def distribution(self, *params: Tensor) -> Distribution:
        loc, log_scale = params[0], params[1] if self.log_scale is None else self.log_scale
        scale, df = log_scale.exp() + FLOOR, 2 + softplus(self.raw_df)
        return StudentT(df.expand_as(loc), loc, scale.expand_as(loc), validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.unsqueeze(0) if self.log_scale is not None else torch.stack([mean, torch.full_like(mean, START)])

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        super().start_from(data)
        above = softplus(self.raw_df)
        ratio, alone = (above / (2 + above)).sqrt(), self.log_scale is not None  # of each value
        start_scale(self.bias[1] if self.log_scale is None else self.log_scale, data, ratio, FLOOR, each=alone)
