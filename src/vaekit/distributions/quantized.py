"""Distributions over codes that are a deterministic function of x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.types import _size

from vaekit.distributions.coded import Coded
from vaekit.entropy_coder import Code
from vaekit.spaces import Codes


class Deterministic(Distribution):
    """Probability 1 for given integers.

    Args:
        index: `[..., *event_shape]`.
        event_dim: Number of dimensions of an event.

    Example:
        >>> import torch
        >>> from vaekit.distributions.quantized import Deterministic
        >>> Deterministic(torch.tensor([3, 1]), 1).log_prob(torch.tensor([[3, 1], [3, 2]]))
        tensor([0., -inf])
    """

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, index: Tensor, event_dim: int):
        self.index = index
        split = index.dim() - event_dim
        super().__init__(index.shape[:split], index.shape[split:], validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return Deterministic(self.index.expand(*batch_shape, *self.event_shape), len(self.event_shape))

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.index.expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        same = (value == self.index).flatten(-len(self.event_shape)).all(-1)
        return torch.where(same, 0.0, -torch.inf)

    @property
    def mode(self) -> Tensor:
        return self.index

    def code(self, alphabet: Any) -> Code:
        return Known(self.index.cpu())


@dataclass(frozen=True)
class Known:
    """The code of integers that the decoder already knows: they take no bits.

    Args:
        symbols: The integers.
    """

    symbols: Tensor

    def push(self, coder: Any, symbols: Tensor) -> None:
        pass

    def pop(self, coder: Any) -> Tensor:
        return self.symbols


class Quantized(Coded):
    """The codes that x was quantized to, with probability 1.

    The draw is their atoms. Its gradient goes to atoms that are learned by gradient, and a `fraction` of it straight
    through to `source`.

    Args:
        index: The number of the atom at each position, `[..., *space.positions]`.
        space: The space of z.
        source: What was quantized, `[..., *space.shape]`.
        fraction: Of the gradient; 1 / depth in residual quantization, whose depths share one source.

    Example:
        >>> import torch
        >>> from vaekit.distributions.quantized import Quantized
        >>> from vaekit.spaces import Codes
        >>> source = torch.tensor([0.2, 0.9], requires_grad=True)
        >>> z = Quantized(torch.tensor([0, 1]), Codes((2,)), source).rsample()
        >>> z.sum().backward()
        >>> z.tolist(), source.grad
        ([0.0, 1.0], tensor([1., 1.]))
    """

    has_rsample = True

    def __init__(self, index: Tensor, space: Codes, source: Tensor, fraction: float = 1.0):
        super().__init__(Deterministic(index, len(space.positions)), space)
        self.source, self.fraction = source, fraction
        self.point = self.from_index(index)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        source = self.source.expand(*batch_shape, *self.event_shape)
        return Quantized(self.indices.expand(batch_shape).index, self.space, source, self.fraction)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        through = self.fraction * (self.source - self.source.detach())
        return (self.point + through).expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """0 for the point itself and -inf for any other, also where two numbers have the same atom."""
        same = (value == self.point).flatten(-len(self.event_shape)).all(-1)
        return torch.where(same, torch.zeros((), dtype=self.point.dtype, device=same.device), -torch.inf)


@register_kl(Deterministic, Distribution)
def _kl(q: Deterministic, p: Distribution) -> Tensor:
    """KL(q || p) = -log p of the number."""
    return -p.log_prob(q.index)
