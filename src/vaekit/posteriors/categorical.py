"""A choice among K at each position, without a gradient through its draws."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.one_of import OneOf
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import Refusal, elsewhere, setting
from vaekit.spaces import Codes


class Categorical(Posterior):
    """q(z | x): one of K `codes` at each position, one-hot, so that `latents.dim` is K times the number of positions.

    Of a single position all values can be tried, as objective=semi_supervised does with classes; else it takes an
    objective that sends no gradient through z.
    context `[..., *context_shape]` -> batch shape `[...]` over `space`, vectors or maps.

    References:
        Diederik Kingma et al. Semi-Supervised Learning with Deep Generative Models. In NeurIPS 2014.
            https://arxiv.org/abs/1406.5298
    """

    latent = Codes
    gives = frozenset(
        {Capability.LOG_PROB, Capability.DENSITY, Capability.ENUMERATE, Capability.MAPS, Capability.CODED}
    )
    atoms: Tensor

    def __init__(self, context_shape: tuple[int, ...], space: Codes, codes: int = 8):
        super().__init__()
        if codes < 2:
            raise Refusal(f"{setting('codes')}={codes} must be at least 2; use {setting('codes')}=8.")
        if space.shape[0] % codes:
            raise Refusal(
                f"{elsewhere('latents.dim')}={space.shape[0]} is not a multiple of {setting('codes')}={codes}, one "
                f"number for each code; use {elsewhere('latents.dim')}={codes * max(1, space.shape[0] // codes)}."
            )
        self.register_buffer("atoms", torch.eye(codes), persistent=False)
        self.space = replace(space, atoms=codes, width=codes, codebook=self.codebook)
        self.head = head(context_shape, space.shape[0])

    def codebook(self) -> Tensor:
        """One-hot, `[K, K]`."""
        return self.atoms

    def forward(self, context: Tensor) -> Distribution:
        return OneOf(self.space.points(full_precision(self.head(context))), self.space)
