"""Transformers, with full or causal attention.

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

__all__ = ["Block", "Causal", "Decoder", "Encoder", "check_sizes"]


def check_sizes(width: int, blocks: int, heads: int) -> None:
    """Check the sizes of a transformer.

    Args:
        width: Dimensions of a state.
        blocks: Number of blocks.
        heads: Attention heads of each block.

    Raises:
        Refusal: If a size is below 1, or `heads` does not divide `width`.
    """
    at_least_one(width=(width, 128), blocks=(blocks, 4), heads=(heads, 4))
    if width % heads:
        raise Refusal(
            f"{setting('width')}={width} is not a multiple of {setting('heads')}={heads}; use {setting('heads')}=1."
        )


class Block(nn.Module):
    """A pre-norm transformer block: states `[N, T, width]` -> the next states, and keys and values.

    Without a mask attention is causal: a position attends to itself and those before it, including those of `past`, the
    keys and values `[N, 2, heads, T', width / heads]` of earlier positions, which a single one follows.

    Args:
        width: Dimensions of a state.
        heads: Attention heads.
        dropout: Probability with which a unit of what attention and MLP add is dropped in training.

    Example:
        >>> import torch
        >>> from vaekit.networks.transformer import Block
        >>> states, past = Block(8, heads=2)(torch.zeros(3, 5, 8))
        >>> states.shape, past.shape
        (torch.Size([3, 5, 8]), torch.Size([3, 2, 2, 5, 4]))
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

    def forward(self, x: Tensor, past: Tensor | None = None, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        query, keys_values = self.qkv(x).unflatten(-1, (3, self.heads, -1)).movedim(1, -2).split([1, 2], 1)
        if past is not None:
            keys_values = torch.cat([past, keys_values], -2)
        causal = past is None and mask is None
        # on a CPU torch's fused attention is slower than matrix products in bfloat16: fourfold for 49 positions
        with sdpa_kernel(SDPBackend.MATH) if x.device.type == "cpu" else nullcontext():
            attended = scaled_dot_product_attention(
                query[:, 0], keys_values[:, 0], keys_values[:, 1], attn_mask=mask, is_causal=causal
            )
        x = x + self.dropout(self.out_proj(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(x)), keys_values


class Causal(nn.Module):
    """A causal transformer with learned position embeddings: `[N, T, width]` -> states of the same shape, and the past.

    To continue position by position, pass the past that the last call returned: keys and values
    `[blocks, N, 2, heads, T', width / heads]`.

    Args:
        length: Largest number of positions.
        width: Dimensions of a state.
        blocks: Number of blocks.
        heads: Attention heads of each block.
        dropout: Probability with which a unit of what attention and MLP add is dropped in training.

    Example:
        >>> import torch
        >>> from vaekit.networks.transformer import Causal
        >>> network, x = Causal(length=6, width=8, blocks=2, heads=2), torch.randn(3, 6, 8)
        >>> whole, _ = network(x)
        >>> _, past = network(x[:, :5])
        >>> last, _ = network(x[:, 5:], past)
        >>> torch.allclose(last, whole[:, 5:], atol=1e-4)
        True
    """

    def __init__(self, length: int, width: int, blocks: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.position_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        done = 0 if past is None else past.shape[-2]
        x, keys_values = x + self.position_embedding[done : done + x.shape[1]], []
        for number, block in enumerate(self.blocks):
            x, keys = block(x, None if past is None else past[number])
            keys_values.append(keys)
        return self.norm(x), torch.stack(keys_values)


class Encoder(Features):
    """Tokens `[N, T]` -> the maximum over time of the states of a transformer with full attention, `[N, width]`.

    Args:
        space: The space of x.
        width: Dimensions of a state.
        blocks: Number of blocks.
        heads: Attention heads of each block.
        dropout: Probability with which a unit of the embeddings is dropped in training.

    Raises:
        Refusal: If a size is below 1, or `heads` does not divide `width`.

    Example:
        >>> import torch
        >>> from vaekit.data.text import learn
        >>> from vaekit.networks.transformer import Encoder
        >>> from vaekit.spaces import Text
        >>> space = Text((6,), learn(["a man", "two men"]))
        >>> x = torch.from_numpy(space.pad([[4, 5], [6]]))
        >>> Encoder(space, width=8, blocks=1, heads=2)(x).shape
        torch.Size([2, 8])
    """

    reads = Text

    def __init__(self, space: Text, width: int, blocks: int = 2, heads: int = 4, dropout: float = 0.0):
        super().__init__()
        check_sizes(width, blocks, heads)
        self.out_shape = (width,)
        self.dropout = dropout
        self.embed = nn.Embedding(space.vocabulary, width)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(space.size, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        numbers = token_numbers(x)
        valid = sentence_mask(numbers)
        longest = int(valid.sum(1).max())
        numbers, valid = numbers[:, :longest], valid[:, :longest]
        h = dropout(self.embed(numbers) + self.position_embedding[:longest], self.dropout, self.training)
        for block in self.blocks:
            h, _ = block(h, mask=valid[:, None, None])
        return self.norm(h).masked_fill(~valid.unsqueeze(-1), -torch.inf).amax(1)
