"""Mixtures with a component for each of some training rows."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily
from torch.types import _size


class Exemplars(MixtureSameFamily):
    """A mixture with equal weights, one component a training row.

    Args:
        components: Batch shape `[M]`.
        row: The number of the training row of each component, `[M]`.

    Example:
        >>> import torch
        >>> from torch.distributions import Normal
        >>> from vaekit.distributions.exemplars import Exemplars, leave_out
        >>> p = Exemplars(Normal(torch.tensor([0.0, 5.0]), 1.0), torch.tensor([7, 8]))
        >>> leave_out(p, torch.tensor([7])).mean  # the prior of training row 7
        tensor([5.])
    """

    def __init__(self, components: Distribution, row: Tensor):
        self.row = row
        even = torch.zeros(components.batch_shape, device=row.device)
        super().__init__(Categorical(logits=even, validate_args=False), components, validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        """A mixture of the given batch shape, which forgets the rows of its components."""
        plain = MixtureSameFamily(self.mixture_distribution, self.component_distribution, validate_args=False)
        return plain.expand(batch_shape)

    def without(self, row: Tensor) -> MixtureSameFamily:
        """The mixture for each of B training rows, `row` `[B]`, without the component of that row."""
        own = self.row == row.unsqueeze(1)
        own = own & ~own.all(1, keepdim=True)  # unless it is the only one
        others = torch.zeros(own.shape, device=row.device).masked_fill(own, -torch.inf)
        components = self.component_distribution.expand(own.shape)
        return MixtureSameFamily(Categorical(logits=others, validate_args=False), components, validate_args=False)


def leave_out(p: Distribution, row: Tensor) -> Distribution:
    """The prior of each of B training rows without the component of that row; most priors have no such component.

    Args:
        p: A prior.
        row: The number of each training row, `[B]`.
    """
    return p.without(row) if isinstance(p, Exemplars) else p
