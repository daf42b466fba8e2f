"""The unit sphere in R^d: its area, its uniform distribution, and draws around a pole."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import normalize
from torch.types import _size

MIN_TEMPERATURE = 1e-3  # lower temperatures do not raise a concentration further


def log_area(d: int) -> float:
    """The log of the surface area of the unit sphere in R^d.

    Args:
        d: Dimensions of the space.

    Example:
        >>> import math
        >>> from vaekit.distributions.sphere import log_area
        >>> math.exp(log_area(3)) / math.pi
        4.0
    """
    return math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)


def around(pole: Tensor, w: Tensor) -> Tensor:
    """Points at cosine `w` to a pole, in a direction drawn uniformly at right angles to it.

    Differentiable in both (Davidson et al. 2018, https://arxiv.org/abs/1804.00891, algorithm 1: the Householder
    reflection that maps the first axis to the pole).

    Args:
        pole: Unit vectors `[..., d]`.
        w: Cosines `[...]`.

    Returns:
        `[..., d]`.

    Example:
        >>> import torch
        >>> from vaekit.distributions.sphere import around
        >>> pole = torch.tensor([0.0, 0.0, 1.0])
        >>> around(pole, torch.tensor([0.5, -0.25])) @ pole
        tensor([ 0.500, -0.250])
    """
    pole = pole.expand(*w.shape, pole.shape[-1])
    tangent = normalize(torch.randn_like(pole[..., 1:]), dim=-1)
    w = w.unsqueeze(-1)
    upright = torch.cat([w, (1 - w.square()).clamp_min(1e-12).sqrt() * tangent], -1)
    first = torch.zeros_like(pole)
    first[..., 0] = 1
    axis = normalize(first - pole, dim=-1)
    return upright - 2 * (upright * axis).sum(-1, keepdim=True) * axis


class SphereUniform(Distribution):
    """The uniform distribution on the unit sphere in R^d; densities are with respect to its surface.

    Args:
        like: A tensor `[d]` of the dimension, type and device of draws.
        batch_shape: Shape of the batch.

    Example:
        >>> import torch
        >>> from vaekit.distributions.sphere import SphereUniform
        >>> p = SphereUniform(torch.zeros(3))
        >>> p.log_prob(p.sample()).item()
        -2.531
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, like: Tensor, batch_shape: torch.Size = torch.Size()):
        """like: `[d]`, gives dimension, type and device."""
        self.like = like
        super().__init__(batch_shape, like.shape, validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return SphereUniform(self.like, torch.Size(batch_shape))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return normalize(torch.randn(shape, dtype=self.like.dtype, device=self.like.device), dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.full_like(value[..., 0], -log_area(len(self.like)))

    @property
    def mean(self) -> Tensor:
        return torch.zeros_like(self.like).expand(*self.batch_shape, -1)

    def tempered(self, temperature: float) -> "SphereUniform":
        """Itself: every power of its density is uniform."""
        return self
