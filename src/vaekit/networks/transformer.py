"""Transformers, which attend: to all of a sentence, or to what came before.

References:
    Ashish Vaswani et al. Attention Is All You Need. In NeurIPS 2017. https://arxiv.org/abs/1706.03762
    Ruibin Xiong et al. On Layer Normalization in the Transformer Architecture. In ICML 2020.
        https://arxiv.org/abs/2002.04745
"""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import dropout, scaled_dot_product_attention

from vaekit.networks.gru import Decoder, token_numbers
from vaekit.networks.network import Features
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.spaces import Text, sentence_mask

__all__ = ["Block", "Causal", "Decoder", "Encoder", "refuse_sizes"]


def refuse_sizes(width: int, blocks: int, heads: int) -> None:
    """Raise `Refusal` unless each is at least 1 and the heads share the width."""
    at_least_one(width=(width, 128), blocks=(blocks, 4), heads=(heads, 4))
    if width % heads:
        raise Refusal(
            f"{setting('width')}={width} is no multiple of {setting('heads')}={heads}; use {setting('heads')}=1."
        )


class Block(nn.Module):
    """`[N, T, width]` -> the same: attention, then two layers at each place. Beside it the keys and values.

    seen: which places count, broadcast to `[N, heads, T, T]`; without it a place sees itself and those before, also
    those of `past`, the keys and values `[N, 2, heads, T', width / heads]` of earlier ones, which a single one follows.
    dropout: of what both add, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout)
        self.qkv = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * width))
        self.out_proj = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, past: Tensor | None = None, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        query, kept = self.qkv(x).unflatten(-1, (3, self.heads, -1)).movedim(1, -2).split([1, 2], 1)
        if past is not None:
            kept = torch.cat([past, kept], -2)
        causal = past is None and seen is None
        # on a CPU torch's fused attention is slower than plain products in bfloat16, for 49 places fourfold
        with sdpa_kernel(SDPBackend.MATH) if x.device.type == "cpu" else nullcontext():
            found = scaled_dot_product_attention(query[:, 0], kept[:, 0], kept[:, 1], attn_mask=seen, is_causal=causal)
        x = x + self.dropout(self.out_proj(found.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(x)), kept


class Causal(nn.Module):
    """Pre-norm blocks over `[N, T, width]`, T at most `length`, with learned places: each sees none behind it.

    Given places one by one, it goes on from `past`, what the last call returned beside the states: keys and values
    `[blocks, N, 2, heads, T', width / heads]`.
    """

    def __init__(self, length: int, width: int, blocks: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.position_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        done = 0 if past is None else past.shape[-2]
        x, kept = x + self.position_embedding[done : done + x.shape[1]], []
        for number, block in enumerate(self.blocks):
            x, keys = block(x, None if past is None else past[number])
            kept.append(keys)
        return self.norm(x), torch.stack(kept)


class Encoder(Features):
    """Tokens `[N, T]` -> the largest states over the sentence of pre-norm blocks that see all of it, `[N, width]`.

    dropout: of the embeddings, in training.
    """

    reads = Text

    def __init__(self, space: Text, width: int, blocks: int = 2, heads: int = 4, dropout: float = 0.0):
        super().__init__()
        refuse_sizes(width, blocks, heads)
        self.out_shape = (width,)
        self.dropout = dropout
        self.embed = nn.Embedding(space.vocabulary, width)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(space.size, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        numbers = token_numbers(x)
        counted = sentence_mask(numbers)
        longest = int(counted.sum(1).max())
        numbers, counted = numbers[:, :longest], counted[:, :longest]
        h = dropout(self.embed(numbers) + self.position_embedding[:longest], self.dropout, self.training)
        for block in self.blocks:
            h, _ = block(h, seen=counted[:, None, None])
        return self.norm(h).masked_fill(~counted.unsqueeze(-1), -torch.inf).amax(1)
