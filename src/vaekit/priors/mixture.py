"""A learned mixture of Gaussians as prior."""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from vaekit.capabilities import Capability
from vaekit.priors.prior import Prior
from vaekit.refusal import at_least_one
from vaekit.spaces import Real


class Mixture(Prior):
    """p(z) = sum_k pi_k N(mu_k, diag(sigma_k^2)), all learned (Dilokthanakul et al. 2016).

    It starts as K Gaussians of unit variance around draws from the standard normal.

    Args:
        space: The space of z.
        components: Number K of Gaussians.

    Raises:
        Refusal: If `components` is below 1.

    References:
        Nat Dilokthanakul et al. Deep Unsupervised Clustering with Gaussian Mixture Variational Autoencoders. arXiv
            2016. https://arxiv.org/abs/1611.02648

    Example:
        >>> from vaekit.priors.mixture import Mixture
        >>> from vaekit.spaces import Real
        >>> Mixture(Real((2,)), components=3)().sample((4,)).shape
        torch.Size([4, 2])
    """

    latent = Real
    gives = frozenset({Capability.CODED})

    def __init__(self, space: Real, components: int = 50):
        super().__init__()
        at_least_one(components=(components, 50))
        self.space = space
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, *space.shape))
        self.log_scale = nn.Parameter(torch.zeros(components, *space.shape))

    def forward(self, context: Tensor | None = None) -> Distribution:
        normals = Normal(self.loc, self.log_scale.exp(), validate_args=False)
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            Independent(normals, len(self.space.shape), validate_args=False),
            validate_args=False,
        )

    @torch.no_grad()
    def start_at(self, z: Tensor) -> None:
        """Start at draws from latents z `[N, *space.shape]`; each component has their standard deviation."""
        self.loc.copy_(z[torch.randint(len(z), self.logits.shape)])
        self.log_scale.copy_(z.std(0).log().expand_as(self.log_scale))
