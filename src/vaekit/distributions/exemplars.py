"""Mixtures with a component for each of some training rows."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily


class Exemplars(MixtureSameFamily):
    """Equal weights of components, batch shape `[M]`. row: the number of the training row of each, `[M]`."""

    def __init__(self, components: Distribution, row: Tensor):
        self.row = row
        even = torch.zeros(components.batch_shape, device=row.device)
        super().__init__(Categorical(logits=even, validate_args=False), components, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """A mixture that does not know which rows its components are of."""
        plain = MixtureSameFamily(self.mixture_distribution, self.component_distribution, validate_args=False)
        return plain.expand(batch_shape)

    def without(self, row: Tensor) -> MixtureSameFamily:
        """For each of B training rows, `row` `[B]`, the mixture without its component of that row."""
        own = self.row == row.unsqueeze(1)
        own = own & ~own.all(1, keepdim=True)  # of one row alone there is no other
        others = torch.zeros(own.shape, device=row.device).masked_fill(own, -torch.inf)
        components = self.component_distribution.expand(own.shape)
        return MixtureSameFamily(Categorical(logits=others, validate_args=False), components, validate_args=False)


def leave_out(p: Distribution, row: Tensor) -> Distribution:
    """The prior of each of B training rows, `row` `[B]`, without its component of that row; most priors have none."""
    return p.without(row) if isinstance(p, Exemplars) else p
