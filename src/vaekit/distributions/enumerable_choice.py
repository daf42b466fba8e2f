"""A categorical distribution over codes whose values can be enumerated."""

import torch
from torch import Tensor

from vaekit.distributions.coded import Choice


class EnumerableChoice(Choice):
    """A `Choice` whose draws carry no gradient; the values of a single position can be enumerated.

    Example:
        >>> import torch
        >>> from vaekit.distributions.enumerable_choice import EnumerableChoice
        >>> from vaekit.spaces import Codes
        >>> EnumerableChoice(torch.zeros(5, 1, 2), Codes((1,))).enumerate_support().shape
        torch.Size([2, 5, 1])
    """

    has_rsample = False
    has_enumerate_support = True

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Each atom once, `[K, *batch_shape, *space.shape]`."""
        index = torch.arange(len(self.atoms), device=self.atoms.device).reshape(-1, *[1] * len(self.batch_shape), 1)
        return self.from_index(index.expand(-1, *self.batch_shape, 1) if expand else index)
