"""Normalizing flows as torch distributions."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.types import _size

from vaekit.distributions.precision import full_precision
from vaekit.distributions.temperature import tempered

_validated = Distribution._validate_args
import zuko  # noqa: E402  (it switches argument validation off for all of torch.distributions)

Distribution.set_default_validate_args(_validated)


class Flow(Distribution):
    """A zuko flow that caches its last draw and the density of that draw.

    An inverse autoregressive flow draws fast and scores slowly; scoring its own draw then needs no second pass. Its
    networks run in full precision, because they are part of a density.

    Args:
        flow: A flow with a base distribution.

    Example:
        >>> import torch
        >>> from vaekit.distributions.flow import Flow, zuko
        >>> p = Flow(zuko.flows.NSF(3, transforms=1, hidden_features=[8])())
        >>> p.log_prob(p.rsample((5,))).shape
        torch.Size([5])
    """

    arg_constraints = {}
    has_rsample = True

    def __init__(self, flow: "zuko.distributions.NormalizingFlow"):
        self.flow = flow
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(flow.batch_shape, flow.event_shape, validate_args=False)

    @property
    def support(self) -> Any:
        return self.flow.support

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return Flow(self.flow.expand(torch.Size(batch_shape)))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.autocast(self.flow.base.mean.device.type, enabled=False):
            z, log_prob = self.flow.rsample_and_log_prob(torch.Size(sample_shape))
        self._last = z, log_prob
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and value is self._last[0]:
            return self._last[1]
        with torch.autocast(value.device.type, enabled=False):
            return self.flow.log_prob(full_precision(value))

    def tempered(self, temperature: float) -> "Flow":
        """The base at the temperature, as is usual for flows (Kingma and Dhariwal 2018, section 6)."""
        return Flow(zuko.distributions.NormalizingFlow(self.flow.transform, tempered(self.flow.base, temperature)))
