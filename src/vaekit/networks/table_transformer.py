"""Transformers over the columns of a table.

References:
    Yury Gorishniy et al. Revisiting Deep Learning Models for Tabular Data. In NeurIPS 2021.
        https://arxiv.org/abs/2106.11959
"""

import math

import torch
from torch import Tensor, nn

from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features
from vaekit.networks.transformer import Block, refuse_sizes
from vaekit.spaces import Table


class Columns(nn.Module):
    """Pre-norm blocks over tokens `[N, T, width]`, normalised, each of which sees all of its row."""

    def __init__(self, width: int, blocks: int, heads: int):
        super().__init__()
        refuse_sizes(width, blocks, heads)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor) -> Tensor:
        seen = torch.ones(1, 1, 1, h.shape[1], dtype=torch.bool, device=h.device)
        for block in self.blocks:
            h, _ = block(h, seen=seen)
        return self.norm(h)


class Encoder(Features):
    """x `[N, numbers]` -> what a token that stands before those of the columns has seen of them, `[N, width]`.

    A column's token is its numbers times a learned vector each, which of a category picks its own, and a bias. A cell
    that is missing has a token of its own where x tells: where a one-hot block holds nothing. Elsewhere it is a 0.
    """

    reads = Table
    one_hot: Tensor

    def __init__(self, space: Table, width: int, blocks: int, heads: int):
        super().__init__()
        self.out_shape = (width,)
        self.widths = [column.width for column in space.ordered]
        one_hot = [column.group == "one_hot" for column in space.ordered]
        self.register_buffer("one_hot", torch.tensor(one_hot), persistent=False)
        columns = len(self.widths)
        self.embed, self.bias, self.missing_token, self.cls_token = (
            nn.Parameter(torch.randn(rows, width) / math.sqrt(width)) for rows in (space.size, columns, columns, 1)
        )
        self.body = glorot(Columns(width, blocks, heads))

    def forward(self, x: Tensor) -> Tensor:
        cells = x.split(self.widths, -1)
        tokens = torch.stack([cell @ each for cell, each in zip(cells, self.embed.split(self.widths), strict=True)], 1)
        lost = self.one_hot & torch.stack([(cell == 0).all(-1) for cell in cells], 1)
        tokens = torch.where(lost.unsqueeze(-1), self.missing_token.to(tokens), tokens + self.bias)
        return self.body(torch.cat([self.cls_token.to(tokens).expand(len(x), 1, -1), tokens], 1))[:, 0]


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> a token a column, and from each the parameters of its own numbers:
    `[N, params, *space.shape]`.
    """

    def __init__(self, in_shape: tuple[int, ...], space: Table, params: int, width: int, blocks: int, heads: int):
        super().__init__()
        self.in_shape = in_shape
        self.widths = [column.width for column in space.ordered]
        columns = len(self.widths)
        self.token_proj = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(in_shape), columns * width), nn.Unflatten(1, (columns, width))
        )
        self.body = Columns(width, blocks, heads)
        self.head = nn.Parameter(torch.randn(params, space.size, width) / math.sqrt(width))  # the likelihood's bias
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        tokens = self.body(self.token_proj(z)).unbind(1)
        heads = self.head.split(self.widths, 1)
        return torch.cat(
            [torch.einsum("nw,pjw->npj", token, head) for token, head in zip(tokens, heads, strict=True)], -1
        )
