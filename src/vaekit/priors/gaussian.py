"""The diagonal Gaussian prior, learned."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.priors.prior import Prior
from vaekit.spaces import Real


class Gaussian(Prior):
    """p(z) = N(mu, diag(sigma^2)), both learned; starts at the standard normal.

    With a context_shape it is p(z | context), mu and log sigma linear in a context `[..., *context_shape]`.

    References:
        none
    """

    latent = Real
    conditional = True

    def __init__(self, space: Real, context_shape: tuple[int, ...] | None = None):
        super().__init__()
        self.space, self.context_shape = space, context_shape
        if context_shape is None:
            self.loc = nn.Parameter(torch.zeros(space.shape))
            self.log_scale = nn.Parameter(torch.zeros(space.shape))
        else:
            self.head = head(context_shape, 0, rest=2 * space.shape[0])

    def forward(self, context: Tensor | None = None) -> Distribution:
        dims = len(self.space.shape)
        both = (self.loc, self.log_scale) if context is None else full_precision(self.head(context)).chunk(2, -dims)
        loc, log_scale = both
        return Independent(Normal(loc, log_scale.exp(), validate_args=False), dims, validate_args=False)

    @torch.no_grad()
    def start_at(self, z: Tensor) -> None:
        """Start at the mean and the spread of codes z `[N, *space.shape]`; given a context, whatever it is."""
        if self.context_shape is not None:
            values = z.transpose(0, 1).flatten(1)  # the places of a map share one
            self.head.bias.copy_(torch.cat([values.mean(1), values.std(1).log()]))
        else:
            self.loc.copy_(z.mean(0))
            self.log_scale.copy_(z.std(0).log())
