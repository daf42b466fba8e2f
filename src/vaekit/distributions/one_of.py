"""A choice among few codes, all of which may be tried."""

import torch
from torch import Tensor

from vaekit.distributions.coded import Choice


class OneOf(Choice):
    """A choice whose draws carry no gradient; of a single position, its values can be enumerated."""

    has_rsample = False
    has_enumerate_support = True

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Each atom once, `[K, *batch_shape, *space.shape]`."""
        index = torch.arange(len(self.atoms), device=self.atoms.device).reshape(-1, *[1] * len(self.batch_shape), 1)
        return self.at(index.expand(-1, *self.batch_shape, 1) if expand else index)
