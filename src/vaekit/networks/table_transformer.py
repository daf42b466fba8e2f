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
from vaekit.networks.transformer import Block, check_sizes
from vaekit.spaces import Table


class Columns(nn.Module):
    """Pre-norm transformer blocks over the tokens of a row, `[N, T, width]`, with full attention and a final norm.

    Args:
        width: Dimensions of a token.
        blocks: Number of blocks.
        heads: Attention heads of each block.

    Raises:
        Refusal: If a size is below 1, or `heads` does not divide `width`.

    Example:
        >>> import torch
        >>> from vaekit.networks.table_transformer import Columns
        >>> Columns(8, blocks=1, heads=2)(torch.zeros(3, 5, 8)).shape
        torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, blocks: int, heads: int):
        super().__init__()
        check_sizes(width, blocks, heads)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor) -> Tensor:
        mask = torch.ones(1, 1, 1, h.shape[1], dtype=torch.bool, device=h.device)
        for block in self.blocks:
            h, _ = block(h, mask=mask)
        return self.norm(h)


class Encoder(Features):
    """x `[N, numbers]` -> the final state of a class token before the tokens of the columns, `[N, width]`.

    A column's token is the sum of a learned vector for each of its numbers, times that number, and a bias. A missing
    cell of a one-hot column has a learned token; in other columns it is read as 0.

    Args:
        space: The space of x.
        width: Dimensions of a token.
        blocks: Number of blocks.
        heads: Attention heads of each block.

    Raises:
        Refusal: If a size is below 1, or `heads` does not divide `width`.

    Example:
        >>> import torch
        >>> from vaekit.networks.table_transformer import Encoder
        >>> from vaekit.spaces import Table
        >>> from vaekit.spaces.column import Column
        >>> space = Table.of([Column("town", "categorical", ["Ulm", "Bonn", "Kiel"]), Column("children", "count")])
        >>> Encoder(space, width=8, blocks=1, heads=2)(torch.zeros(5, space.size)).shape
        torch.Size([5, 8])
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
        missing = self.one_hot & torch.stack([(cell == 0).all(-1) for cell in cells], 1)
        tokens = torch.where(missing.unsqueeze(-1), self.missing_token.to(tokens), tokens + self.bias)
        return self.body(torch.cat([self.cls_token.to(tokens).expand(len(x), 1, -1), tokens], 1))[:, 0]


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> one token a column, and from it the parameters of the column's numbers.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters a number that the likelihood needs.
        width: Dimensions of a token.
        blocks: Number of blocks.
        heads: Attention heads of each block.

    Returns:
        `[N, params, *space.shape]`.

    Example:
        >>> import torch
        >>> from vaekit.networks.table_transformer import Decoder
        >>> from vaekit.spaces import Table
        >>> from vaekit.spaces.column import Column
        >>> space = Table.of([Column("town", "categorical", ["Ulm", "Bonn", "Kiel"]), Column("children", "count")])
        >>> tuple(Decoder((3,), space, 1, width=8, blocks=1, heads=2)(torch.zeros(5, 3)).shape) == (5, 1, space.size)
        True
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
        self.head = nn.Parameter(
            torch.randn(params, space.size, width) / math.sqrt(width)
        )  # the likelihood adds a bias
        glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        tokens = self.body(self.token_proj(z)).unbind(1)
        heads = self.head.split(self.widths, 1)
        return torch.cat(
            [torch.einsum("nw,pjw->npj", token, head) for token, head in zip(tokens, heads, strict=True)], -1
        )
