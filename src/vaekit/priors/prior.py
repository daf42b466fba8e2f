"""The base class of priors."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability, Input
from vaekit.spaces import Real, Space


class Prior(nn.Module):
    """p(z): called without a context, it returns a distribution over `space` with batch shape `[]`.

    The constructor takes `space` and an argument for each of `inputs`. If `conditional`, it also takes `context_shape`,
    and the prior is then p(z | context): a context `[..., *context_shape]` gives batch shape `[...]`.

    A subclass declares: `latent`, the kind of space that z may be in; `inputs`, what else its constructor needs;
    `requires`, what it requires of the posterior; `gives`, what others may require of it; `learned`, whether it has
    parameters; `learns_inputs`, whether some of these are examples x; `keeps_rows`, whether training rows are stored
    with its weights; `plans`, settings that are configurations of a VAE over z, for each of which the constructor gets
    a function of the space of z that builds it; and `sampling`, settings of draws, which may change after training.

    Example:
        >>> import torch
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.spaces import Real
        >>> StandardNormal(Real((2,)))().log_prob(torch.zeros(2)).item()
        -1.8379
    """

    latent: ClassVar[type[Space]]
    inputs = frozenset[Input]()
    requires = frozenset[Capability]()
    gives = frozenset[Capability]()
    conditional = False
    learned = True
    learns_inputs = False
    keeps_rows = False
    plans = frozenset[str]()
    sampling = frozenset[str]()
    space: Any

    def forward(self, context: Tensor | None = None) -> Distribution:
        raise NotImplementedError

    def start_from(self, data: Any) -> None:
        """Start from the training data, before the first step."""

    def start_at(self, z: Tensor) -> None:
        """Start from latents z `[N, *space.shape]` of training rows, where the encoder does not change."""


class Standardized(Prior):
    """A prior of (z - loc) / scale, with the mean and standard deviation of the latents that it starts at.

    Args:
        space: The space of z.
    """

    latent = Real
    loc: Tensor
    scale: Tensor

    def __init__(self, space: Real):
        super().__init__()
        self.space = space
        self.register_buffer("loc", torch.zeros(space.shape))
        self.register_buffer("scale", torch.ones(space.shape))

    @torch.no_grad()
    def start_at(self, z: Tensor) -> None:
        self.loc.copy_(z.mean(0))
        self.scale.copy_(z.std(0))
