"""The posterior of finite scalar quantization (FSQ)."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.precision import full_precision
from vaekit.distributions.quantized import Quantized
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import Refusal, elsewhere, setting
from vaekit.spaces import Codes


class FSQ(Posterior):
    """z = round(f(x)): each number is bounded and rounded to one of a few values; D consecutive numbers are a code.

    Mentzer et al. 2024, section 3.1. There is no codebook to learn or to collapse: the codes are the grid of
    levels[0] x ... x levels[D - 1] points in [-1, 1]^D, so that `latents.dim` is D times the number of positions.

    Args:
        context_shape: Shape of the features of a row, (F,) for vectors z or (C, H, W) for maps z.
        space: The space of z.
        levels: Number of values of each of the D numbers of a code; [8,5,5,5] gives 1,000 codes, as in the paper.

    Raises:
        Refusal: If an entry of `levels` is below 2, or D does not divide `space.shape[0]`.

    References:
        Fabian Mentzer et al. Finite Scalar Quantization: VQ-VAE Made Simple. In ICLR 2024.
            https://arxiv.org/abs/2309.15505

    Example:
        >>> import torch
        >>> from vaekit.posteriors.fsq import FSQ
        >>> from vaekit.spaces import Codes
        >>> posterior = FSQ((8,), Codes((4,)), levels=(5, 3))
        >>> posterior.codebook().shape
        torch.Size([15, 2])
        >>> posterior(torch.randn(6, 8)).sample().shape
        torch.Size([6, 4])
    """

    latent = Codes
    gives = frozenset(
        {Capability.RSAMPLE, Capability.LOG_PROB, Capability.DETERMINISTIC, Capability.MAPS, Capability.CODED}
    )
    atoms: Tensor
    levels: Tensor
    strides: Tensor

    def __init__(self, context_shape: tuple[int, ...], space: Codes, levels: Sequence[int] = (8, 5, 5, 5)):
        super().__init__()
        if not levels or min(levels) < 2:
            raise Refusal(f"{setting('levels')}={levels} must be at least 2 each; use {setting('levels')}=[8,5,5,5].")
        if space.shape[0] % (width := len(levels)):
            raise Refusal(
                f"{elsewhere('latents.dim')}={space.shape[0]} is not a multiple of {width}, the number of "
                f"{setting('levels')}; use {elsewhere('latents.dim')}={width * max(1, space.shape[0] // width)}."
            )
        axes = [torch.arange(count) - count // 2 for count in levels]
        grid = torch.cartesian_prod(*axes).reshape(-1, width)  # the last number changes fastest
        strides = [math.prod(levels[i + 1 :]) for i in range(width)]
        self.register_buffer("levels", torch.tensor(levels).float(), persistent=False)
        self.register_buffer("strides", torch.tensor(strides), persistent=False)
        self.register_buffer("atoms", grid / (torch.tensor(levels) // 2), persistent=False)
        self.space = replace(space, atoms=len(grid), width=width, codebook=self.codebook)
        self.head = head(context_shape, space.shape[0])

    def codebook(self) -> Tensor:
        """The grid, `[K, D]`."""
        return self.atoms

    def forward(self, context: Tensor) -> Distribution:
        bounded = self.bound(self.space.points(full_precision(self.head(context))))
        middle = self.levels // 2
        index = ((bounded.round() + middle).long() * self.strides).sum(-1)
        return Quantized(index, self.space, self.space.array(bounded / middle))

    def bound(self, h: Tensor) -> Tensor:
        """Map `[..., D]` to the interval in which rounding gives the L integers from -(L // 2) on."""
        # slightly wider, so that rounding reaches both ends but no further value
        half = torch.minimum((self.levels - 1) * (1 + 1e-3), self.levels - 0.5) / 2
        offset = (self.levels % 2 == 0) * 0.5
        return (h + (offset / half).atanh()).tanh() * half - offset
