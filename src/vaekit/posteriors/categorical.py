"""The categorical posterior over one-hot codes, whose draws carry no gradient."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.enumerable_choice import EnumerableChoice
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import Refusal, elsewhere, setting
from vaekit.spaces import Codes


class Categorical(Posterior):
    """q(z | x): one of K codes at each position, one-hot, so that `latents.dim` is K times the number of positions.

    The values of a single position can be enumerated, as objective=semi_supervised does with classes; otherwise it
    needs an objective that sends no gradient through z.

    Args:
        context_shape: Shape of the features of a row, (F,) for vectors z or (C, H, W) for maps z.
        space: The space of z.
        codes: Number K of codes, at least 2.

    Raises:
        Refusal: If `codes` is below 2, or does not divide `space.shape[0]`.

    References:
        Diederik Kingma et al. Semi-Supervised Learning with Deep Generative Models. In NeurIPS 2014.
            https://arxiv.org/abs/1406.5298

    Example:
        >>> import torch
        >>> from vaekit.posteriors.categorical import Categorical
        >>> from vaekit.spaces import Codes
        >>> q = Categorical((8,), Codes((6,)), codes=3)(torch.randn(5, 8))
        >>> q.sample().sum(1)  # two positions, one-hot each
        tensor([2., 2., 2., 2., 2.])
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
        """One-hot vectors, `[K, K]`."""
        return self.atoms

    def forward(self, context: Tensor) -> Distribution:
        return EnumerableChoice(self.space.points(full_precision(self.head(context))), self.space)
