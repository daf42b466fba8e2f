"""The diagonal Gaussian posterior."""

import math

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import glorot
from vaekit.spaces import Real


class Gaussian(nn.Module):
    """q(z | x) = N(mu(x), diag(sigma(x)^2)), sigma = exp(linear).

    Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114), equation 9.
    context `[B, *context_shape]` -> a distribution with batch shape `[B]` over `space`.
    """

    latent = Real
    gives = frozenset({"rsample", "log_prob", "factorised"})

    def __init__(self, context_shape: tuple[int, ...], space: Real):
        super().__init__()
        self.space = space
        self.head = glorot(nn.Linear(math.prod(context_shape), 2 * space.size))

    def forward(self, context: Tensor) -> Distribution:
        loc, log_scale = full_precision(self.head(context.flatten(1))).unflatten(1, (2, *self.space.shape)).unbind(1)
        return Independent(Normal(loc, log_scale.exp(), validate_args=False), len(self.space.shape), validate_args=False)
