"""Codes that x settles: all mass at one number for each position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from vaekit.distributions.coded import Coded
from vaekit.entropy_coder import Code
from vaekit.spaces import Codes


class Deterministic(Distribution):
    """The whole numbers `index` `[..., *event]`, the last `event_dim` dimensions of which are one event."""

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, index: Tensor, event_dim: int):
        self.index = index
        split = index.dim() - event_dim
        super().__init__(index.shape[:split], index.shape[split:], validate_args=False)

    def expand(self, batch_shape, _instance=None):
        return Deterministic(self.index.expand(*batch_shape, *self.event_shape), len(self.event_shape))

    def sample(self, sample_shape=torch.Size()) -> Tensor:
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
    """Numbers that who decodes knows by then: they take no bits, and give none."""

    symbols: Tensor

    def push(self, coder: Any, symbols: Tensor) -> None:
        pass

    def pop(self, coder: Any) -> Tensor:
        return self.symbols


class Quantized(Coded):
    """What x was quantised to: numbers `index` `[..., *space.positions]`, of probability 1.

    The draw is their points. It hands its gradient on to atoms that are learned by gradient, and a `share` of it to
    `source` `[..., *space.shape]`, what was quantised (straight through).
    """

    has_rsample = True

    def __init__(self, index: Tensor, space: Codes, source: Tensor, share: float = 1.0):
        super().__init__(Deterministic(index, len(space.positions)), space)
        self.source, self.share = source, share
        self.point = self.at(index)

    def expand(self, batch_shape, _instance=None):
        source = self.source.expand(*batch_shape, *self.event_shape)
        return Quantized(self.indices.expand(batch_shape).index, self.space, source, self.share)

    def rsample(self, sample_shape=torch.Size()) -> Tensor:
        through = self.share * (self.source - self.source.detach())
        return (self.point + through).expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """0 of the very point, -inf of any other; of points that two numbers share, too."""
        same = (value == self.point).flatten(-len(self.event_shape)).all(-1)
        return torch.where(same, torch.zeros((), dtype=self.point.dtype, device=same.device), -torch.inf)


@register_kl(Deterministic, Distribution)
def _kl(q: Deterministic, p: Distribution) -> Tensor:
    """KL(q || p) = -log p of the number."""
    return -p.log_prob(q.index)
