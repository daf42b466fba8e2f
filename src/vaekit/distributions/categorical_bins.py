"""A categorical distribution over the gray values 0, 1/(L-1), ..., 1."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

from vaekit.entropy_coder import STEP, Code, rounded, table


class CategoricalBins(Distribution):
    """A free probability for each of L gray values.

    Args:
        logits: `[..., L]`.
        validate_args: As of torch's distributions.

    Example:
        >>> import torch
        >>> from vaekit.distributions.categorical_bins import CategoricalBins
        >>> p = CategoricalBins(torch.tensor([0.0, 0.0, 0.0]))
        >>> p.mean.item(), p.log_prob(torch.tensor(0.5)).exp().item()
        (0.5, 0.333)
    """

    arg_constraints = {"logits": constraints.independent(constraints.real, 1)}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, validate_args: bool | None = False):
        self.logits = logits.log_softmax(-1)
        self.bins = logits.shape[-1]
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return CategoricalBins(self.logits.expand(*batch_shape, self.bins))

    def log_prob(self, value: Tensor) -> Tensor:
        index = (value * (self.bins - 1)).round().long()
        shape = torch.broadcast_shapes(index.shape, self.batch_shape)
        logits = self.logits.expand(*shape, self.bins)
        return logits.gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            draw = torch.distributions.Categorical(logits=self.logits, validate_args=False).sample(sample_shape)
            return draw.to(self.logits) / (self.bins - 1)

    @property
    def mean(self) -> Tensor:
        values = torch.linspace(0, 1, self.bins, dtype=self.logits.dtype, device=self.logits.device)
        return self.logits.exp() @ values

    @property
    def mode(self) -> Tensor:
        return self.logits.argmax(-1).to(self.logits) / (self.bins - 1)

    def code(self, alphabet: Any) -> Code:
        return table(rounded(self.logits, STEP).softmax(-1))
