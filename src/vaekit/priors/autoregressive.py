"""An autoregressive prior over discrete codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.coded import Coded
from vaekit.distributions.precision import full_precision
from vaekit.distributions.sequence import Sequence
from vaekit.networks.transformer import Causal, check_sizes
from vaekit.priors.prior import Prior
from vaekit.refusal import below_one
from vaekit.spaces import Codes


class Transformer(nn.Module):
    """A causal transformer over code indices (`vaekit.distributions.sequence.Network`).

    Args:
        atoms: Number of atoms of the codebook.
        length: Number of positions.
        width: Width of the residual stream; a multiple of `heads`.
        blocks: Number of attention blocks.
        heads: Attention heads of each block.
        dropout: Probability of dropping a value in training, in [0, 1).
    """

    def __init__(self, atoms: int, length: int, width: int, blocks: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.atoms = atoms
        self.embed = nn.Embedding(atoms, width)
        self.start_token = nn.Parameter(0.02 * torch.randn(width))
        self.transformer = Causal(length, width, blocks, heads, dropout)
        self.head = nn.Linear(width, atoms)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, before: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.embed(before)
        if past is None:
            x = torch.cat([self.start_token.expand(len(x), 1, -1).to(x), x[:, 1:]], 1)
        states, past = self.transformer(x, past)
        return full_precision(self.head(states)), past


class Autoregressive(Prior):
    """p(z) = prod_i p(z_i | z_1 ... z_i-1) over code positions in raster order, by a causal transformer.

    van den Oord et al. 2017, section 3.3, use a PixelCNN in its place.

    Args:
        space: The space of z.
        width: Width of the transformer; a multiple of `heads`.
        blocks: Number of attention blocks.
        heads: Attention heads of each block.
        dropout: Probability of dropping a value in training, in [0, 1).

    Raises:
        Refusal: If a size is below 1, `width` is not a multiple of `heads`, or `dropout` is out of its range.

    References:
        Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS 2017.
            https://arxiv.org/abs/1711.00937
        Ashish Vaswani et al. Attention Is All You Need. In NeurIPS 2017. https://arxiv.org/abs/1706.03762

    Example:
        >>> from vaekit.priors.autoregressive import Autoregressive
        >>> from vaekit.spaces import Codes
        >>> prior = Autoregressive(Codes((6,), atoms=2), width=8, blocks=1, heads=2)
        >>> prior().sample((5,)).shape
        torch.Size([5, 6])
    """

    latent = Codes
    gives = frozenset({Capability.CODED})

    def __init__(self, space: Codes, width: int = 128, blocks: int = 4, heads: int = 4, dropout: float = 0.0):
        super().__init__()
        check_sizes(width, blocks, heads)
        below_one(dropout=(dropout, 0.1))
        self.space = space
        self.network = Transformer(space.atoms, math.prod(space.positions), width, blocks, heads, dropout)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Coded(Sequence(self.network, self.space.positions), self.space)
