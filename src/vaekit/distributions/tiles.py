"""A tile in each cell of a game level."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.nn.functional import one_hot
from torch.types import _size


class Tiles(Distribution):
    """One-hot maps `[..., tiles, H, W]`, with a categorical distribution in each cell.

    The numbers of a cell share one probability: the log_prob of those that are 0 is 0.

    Args:
        logits: `[..., tiles, H, W]`.

    Example:
        >>> import torch
        >>> from vaekit.distributions.tiles import Tiles
        >>> Tiles(torch.zeros(4, 2, 2)).sample().sum(0)
        tensor([[1., 1.],
                [1., 1.]])
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor):
        self.logits = logits.log_softmax(-3)
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.logits

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            chosen = Categorical(logits=self.logits.movedim(-3, -1), validate_args=False).sample(sample_shape)
            return self._one_hot(chosen)

    @property
    def mean(self) -> Tensor:
        """The probability of each tile."""
        return self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self.logits.argmax(-3))

    def _one_hot(self, chosen: Tensor) -> Tensor:
        return one_hot(chosen, self.logits.shape[-3]).movedim(-1, -3).to(self.logits)
