"""What all priors share."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability, Input
from vaekit.spaces import Space


class Prior(nn.Module):
    """p(z): a distribution with batch shape `[]` over `space`.

    The constructor takes `space` and an argument for each of `inputs`. With `conditional` it also takes
    `context_shape`, and is then p(z | context): a context `[..., *context_shape]` gives batch shape `[...]`.
    latent: the kind of space z is in. requires: of the posterior. learned: whether it has parameters. learns_inputs:
    whether some of them are examples x. plans: settings that are configurations of a VAE over z; the constructor is
    handed a function of the space of z that builds it.
    """

    latent: ClassVar[type[Space]]
    inputs = frozenset[Input]()
    requires = frozenset[Capability]()
    gives = frozenset[Capability]()
    conditional = False
    learned = True
    learns_inputs = False
    plans = frozenset[str]()
    space: Any

    def forward(self, context: Tensor | None = None) -> Distribution:
        raise NotImplementedError

    def start_from(self, data: Any) -> None:
        """Start from the training data, before the first step."""

    def start_at(self, z: Tensor) -> None:
        """Start at codes z `[N, *space.shape]` of the training data, where they do not change."""
