"""A transformer as prior of codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import scaled_dot_product_attention

from vaekit.distributions.coded import Coded
from vaekit.distributions.precision import full_precision
from vaekit.distributions.sequence import Sequence
from vaekit.refusal import Refusal
from vaekit.spaces import Codes

Past = list[tuple[Tensor, Tensor]]  # of each block, keys and values `[N, heads, T, width / heads]`


class Block(nn.Module):
    """`[N, T, width]` -> the same: attention to what came before, then two layers at each position."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.look = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * width))
        self.join = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        query, key, value = self.look(x).unflatten(-1, (3, self.heads, -1)).movedim(1, -2).unbind(1)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        found = scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self.join(found.transpose(1, 2).flatten(2))
        return x + self.think(x), (key, value)


class Transformer(nn.Module):
    """A `vaekit.distributions.sequence.Network` of pre-norm blocks, with learned places."""

    def __init__(self, atoms: int, length: int, width: int, blocks: int, heads: int):
        super().__init__()
        self.atoms = atoms
        self.embed = nn.Embedding(atoms, width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, atoms))
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, before: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        done = past[0][0].shape[2] if past else 0
        x = self.embed(before)
        if not past:
            x = torch.cat([self.start.expand(len(x), 1, -1).to(x), x[:, 1:]], 1)
        x = x + self.places[done : done + before.shape[1]]
        kept = []
        for number, block in enumerate(self.blocks):
            x, keys = block(x, past[number] if past else None)
            kept.append(keys)
        return full_precision(self.head(x)), kept


class Autoregressive(nn.Module):
    """p(z) = prod_i p(z_i | z_1 ... z_i-1) over the positions of codes, in raster order, by a causal transformer.

    van den Oord et al. 2017, section 3.3, who take a PixelCNN. width, blocks, heads: of the transformer.

    Cite: Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS
        2017. https://arxiv.org/abs/1711.00937
    Cite: Ashish Vaswani et al. Attention Is All You Need. In NeurIPS 2017. https://arxiv.org/abs/1706.03762
    """

    latent = Codes
    needs = frozenset[str]()
    asks = frozenset[str]()

    def __init__(self, space: Codes, width: int = 128, blocks: int = 4, heads: int = 4):
        super().__init__()
        for name, count, usual in (("width", width, 128), ("blocks", blocks, 4), ("heads", heads, 4)):
            if count < 1:
                raise Refusal(f"prior.{name}={count} must be at least 1; use prior.{name}={usual}.")
        if width % heads:
            raise Refusal(f"prior.width={width} is no multiple of prior.heads={heads}; use prior.heads=1.")
        self.space = space
        self.network = Transformer(space.atoms, math.prod(space.positions), width, blocks, heads)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Coded(Sequence(self.network, self.space.positions), self.space)
