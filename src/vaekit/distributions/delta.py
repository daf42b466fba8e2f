"""A point mass."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size


class Delta(Distribution):
    """All mass at one point. It has no density, so `log_prob` raises `NotImplementedError`.

    Args:
        point: `[..., *event_shape]`.
        event_dim: Number of dimensions of an event.

    Example:
        >>> import torch
        >>> from vaekit.distributions.delta import Delta
        >>> Delta(torch.tensor([1.0, 2.0])).rsample((3,)).shape
        torch.Size([3, 2])
    """

    arg_constraints = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, point: Tensor, event_dim: int = 1):
        self.point = point
        split = point.dim() - event_dim
        super().__init__(point.shape[:split], point.shape[split:], validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return Delta(self.point.expand(*batch_shape, *self.event_shape), len(self.event_shape))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.point.expand(self._extended_shape(sample_shape))

    @property
    def mean(self) -> Tensor:
        return self.point
