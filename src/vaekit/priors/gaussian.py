"""The diagonal Gaussian prior, learned."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.spaces import Real


class Gaussian(nn.Module):
    """p(z) = N(mu, diag(sigma^2)), both learned; starts at the standard normal.

    Cite: none
    """

    latent = Real
    needs = frozenset[str]()
    asks = frozenset[str]()

    def __init__(self, space: Real):
        super().__init__()
        self.space = space
        self.loc = nn.Parameter(torch.zeros(space.shape))
        self.log_scale = nn.Parameter(torch.zeros(space.shape))

    def forward(self, context: Tensor | None = None) -> Distribution:
        normal = Normal(self.loc, self.log_scale.exp(), validate_args=False)
        return Independent(normal, self.loc.dim(), validate_args=False)

    @torch.no_grad()
    def start_at(self, z: Tensor) -> None:
        """Start at the mean and the spread of codes z `[N, *space.shape]`."""
        self.loc.copy_(z.mean(0))
        self.log_scale.copy_(z.std(0).log())
