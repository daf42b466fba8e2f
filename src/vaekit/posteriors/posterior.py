"""The base class of posteriors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability, Input
from vaekit.spaces import Space


class Posterior(nn.Module):
    """q(z | x): features of x `[..., *context_shape]` -> a distribution over `space` with batch shape `[...]`.

    The constructor takes `context_shape`, `space`, and an argument for each member of `inputs`. A subclass states
    `latent`, the kind of space z is in, `gives`, the capabilities that other parts may require, and `forward`.
    """

    latent: ClassVar[type[Space]]
    gives: ClassVar[frozenset[Capability]]
    inputs = frozenset[Input]()
    space: Any

    @classmethod
    def gives_with(cls, settings: Mapping[str, Any]) -> frozenset[Capability]:
        """The capabilities of a posterior that is built with these settings."""
        return cls.gives

    def forward(self, context: Tensor) -> Distribution:
        raise NotImplementedError

    def embed(self, z: Tensor) -> Tensor:
        """The representation of z `[..., *space.shape]` that the levels below and the likelihood read."""
        return z

    def anneal(self, epoch: float | None) -> None:
        """Set scheduled settings to their values at a time of training, in epochs; None is the end of it."""
