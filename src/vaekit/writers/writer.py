"""What all writers share: tokens in, tokens out, and what of them is hidden while it learns."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaekit.refusal import at_least_one, below_one
from vaekit.spaces import UNKNOWN, Text


class Writer(nn.Module):
    """A `vaekit.distributions.tokens.Network`: which token comes next, given those before and `told` numbers of z.

    A writer states `read`: of the embedded tokens before, z's numbers beside them, `[N, T, embedding + told]`, and what
    its last call returned of the past, None at the start, to states `[N, T, width]` and the past `[L, N, ...]`.

    Input and output share their embedding (Press and Wolf 2017). dropout: of units of the embeddings and states, in
    training, the same ones for a whole sentence (Gal and Ghahramani 2016); word_dropout: of tokens before, which are
    <unk> then (Bowman et al. 2016, section 3.1).
    """

    def __init__(self, space: Text, told: int, width: int, embedding: int, dropout: float, word_dropout: float):
        at_least_one(width=(width, 256), embedding=(embedding, 128))
        below_one(dropout=(dropout, 0.3), word_dropout=(word_dropout, 0.3))
        super().__init__()
        self.dropout, self.word_dropout = dropout, word_dropout
        self.embed = nn.Embedding(space.vocabulary, embedding)  # the row of <pad> stands for the start
        self.out = nn.Linear(width + told, embedding)
        self.bias = nn.Parameter(torch.zeros(space.vocabulary - 1))
        nn.init.normal_(self.embed.weight, std=embedding**-0.5)

    def read(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def states(self, before: Tensor, told: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and self.word_dropout:
            dropped = torch.rand(before.shape, device=before.device) < self.word_dropout
            before = before.masked_fill(dropped & (before > UNKNOWN), UNKNOWN)
        states, past = self.read(torch.cat([self._drop(self.embed(before)), told], -1), past)
        return torch.cat([self._drop(states), told], -1), past

    def logits(self, states: Tensor) -> Tensor:
        return functional.linear(self.out(states), self.embed.weight[1:], self.bias)

    def _drop(self, x: Tensor) -> Tensor:
        """x `[N, T, D]`, the same units of a sentence dropped at all of its places."""
        return x * functional.dropout(torch.ones_like(x[:, :1]), self.dropout, self.training)
