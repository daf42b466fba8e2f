"""A mixture of Gaussians around the posterior means of training rows."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.capabilities import Capability, Input
from vaekit.distributions.exemplars import Exemplars
from vaekit.priors.prior import Prior
from vaekit.refusal import at_least_one
from vaekit.spaces import Real, Space


class Exemplar(Prior):
    """p(z) = 1/M sum_m N(mean of q(z | x_m), sigma^2 I) over M training rows, with sigma learned.

    Norouzi et al. 2020, equation 6, with one random subset of M rows that stays the same. In training, the density at a
    row of the subset leaves that row's own component out (section 3.1), so that no row is explained by itself.

    Args:
        space: The space of z.
        infer: q(z | x) as a function of x `[N, *data_space.shape]`.
        data_space: The space of x.
        components: Number M of training rows. Each step encodes all of them.

    Raises:
        Refusal: If `components` is below 1.

    References:
        Sajad Norouzi, David Fleet, Mohammad Norouzi. Exemplar VAE: Linking Generative Models, Nearest Neighbor
            Retrieval, and Data Augmentation. In NeurIPS 2020. https://arxiv.org/abs/2004.04795

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.priors.exemplar import Exemplar
        >>> from vaekit.spaces import Real
        >>> prior = Exemplar(Real((2,)), lambda x: Independent(Normal(x, 1.0), 1), Real((2,)), components=5)
        >>> prior().sample((4,)).shape
        torch.Size([4, 2])
    """

    latent = Real
    gives = frozenset({Capability.CODED})
    inputs = frozenset({Input.INFER, Input.DATA_SPACE})
    requires = frozenset({Capability.MEAN})
    keeps_rows = True
    rows: Tensor
    row_numbers: Tensor

    def __init__(self, space: Real, infer: Callable[[Tensor], Distribution], data_space: Space, components: int = 1000):
        super().__init__()
        at_least_one(components=(components, 1000))
        self.space, self.infer = space, infer
        self.register_buffer("rows", torch.rand(components, *data_space.shape))
        self.register_buffer("row_numbers", torch.full((components,), -1))
        self.log_scale = nn.Parameter(torch.tensor(math.log(0.5)))

    def forward(self, context: Tensor | None = None) -> Distribution:
        loc = self.infer(self.rows).mean
        normals = Normal(loc, self.log_scale.exp().expand_as(loc), validate_args=False)
        return Exemplars(Independent(normals, len(self.space.shape), validate_args=False), self.row_numbers)

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        batch = data.sample("train", len(self.rows))
        repeated = torch.arange(len(self.rows)) % len(batch)  # of fewer rows
        self.rows.copy_(batch.x[repeated])
        self.row_numbers.copy_(batch.row[repeated])
