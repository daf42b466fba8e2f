"""All mass at one point."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class Delta(Distribution):
    """A point `[..., *event]`: the last `event_dim` dimensions are one. It has no density, so `log_prob` raises."""

    arg_constraints = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, point: Tensor, event_dim: int = 1):
        self.point = point
        split = point.dim() - event_dim
        super().__init__(point.shape[:split], point.shape[split:], validate_args=False)

    def expand(self, batch_shape, _instance=None):
        return Delta(self.point.expand(*batch_shape, *self.event_shape), len(self.event_shape))

    def rsample(self, sample_shape=torch.Size()) -> Tensor:
        return self.point.expand(self._extended_shape(sample_shape))

    @property
    def mean(self) -> Tensor:
        return self.point
