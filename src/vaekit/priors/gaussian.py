"""A learned Gaussian prior with diagonal covariance."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.capabilities import Capability
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.priors.prior import Prior
from vaekit.spaces import Real


class Gaussian(Prior):
    """p(z) = N(mu, diag(sigma^2)) with mu and sigma learned; it starts as the standard normal.

    With a `context_shape` it is p(z | context), with mu and log sigma linear in a context `[..., *context_shape]`.

    Args:
        space: The space of z.
        context_shape: The shape of the context; None for a prior without one.

    References:
        none

    Example:
        >>> import torch
        >>> from vaekit.priors.gaussian import Gaussian
        >>> from vaekit.spaces import Real
        >>> Gaussian(Real((2,)))().log_prob(torch.zeros(2)).item()
        -1.8379
    """

    latent = Real
    gives = frozenset({Capability.CODED})
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
        """Start from the mean and standard deviation of latents z `[N, *space.shape]`, for every context."""
        if self.context_shape is not None:
            values = z.transpose(0, 1).flatten(1)  # the positions of a map share parameters
            self.head.bias.copy_(torch.cat([values.mean(1), values.std(1).log()]))
        else:
            self.loc.copy_(z.mean(0))
            self.log_scale.copy_(z.std(0).log())
