"""The standard normal prior."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.capabilities import Capability
from vaekit.priors.prior import Prior
from vaekit.spaces import Real


class StandardNormal(Prior):
    """p(z) = N(0, I) (Kingma and Welling 2014, appendix B).

    Args:
        space: The space of z.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114

    Example:
        >>> import torch
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.spaces import Real
        >>> StandardNormal(Real((2,)))().log_prob(torch.zeros(2)).item()   # -log(2 pi)
        -1.8379
    """

    latent = Real
    gives = frozenset({Capability.CODED})
    learned = False
    loc: Tensor
    scale: Tensor

    def __init__(self, space: Real):
        super().__init__()
        self.space = space
        self.register_buffer("loc", torch.zeros(space.shape), persistent=False)
        self.register_buffer("scale", torch.ones(space.shape), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Independent(Normal(self.loc, self.scale, validate_args=False), self.loc.dim(), validate_args=False)
