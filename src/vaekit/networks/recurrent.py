"""A recurrent network that writes: what comes next, given the tokens before and what it is told at each place.

Input and output share their embedding (Press and Wolf 2017), and units are dropped for a whole sentence at a time (Gal
and Ghahramani 2016). The initial state is read from what is told at the first place.

Cite: Ofir Press, Lior Wolf. Using the Output Embedding to Improve Language Models. In EACL 2017.
    https://arxiv.org/abs/1608.05859
Cite: Yarin Gal, Zoubin Ghahramani. A Theoretically Grounded Application of Dropout in Recurrent Neural Networks. In
    NeurIPS 2016. https://arxiv.org/abs/1512.05287
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaekit.spaces import UNKNOWN


class Recurrent(nn.Module):
    """A `vaekit.distributions.tokens.Network`: a GRU of `width` units over `vocabulary` tokens.

    told: how many numbers it is told at each place. dropout: of units of the embeddings and states, in training;
    word_dropout: of tokens before, which are <unk> then (Bowman et al. 2016, section 3.1).
    """

    def __init__(
        self, vocabulary: int, told: int, width: int, embedding: int, dropout: float = 0.0, word_dropout: float = 0.0
    ):
        super().__init__()
        self.dropout, self.word_dropout = dropout, word_dropout
        self.embed = nn.Embedding(vocabulary, embedding)  # the row of <pad> stands for the start
        self.start = nn.Linear(told, width)
        self.gru = nn.GRU(embedding + told, width, batch_first=True)
        self.out = nn.Linear(width + told, embedding)
        self.bias = nn.Parameter(torch.zeros(vocabulary - 1))
        nn.init.normal_(self.embed.weight, std=embedding**-0.5)

    def states(self, before: Tensor, told: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and self.word_dropout:
            dropped = torch.rand(before.shape, device=before.device) < self.word_dropout
            before = before.masked_fill(dropped & (before > UNKNOWN), UNKNOWN)
        x = torch.cat([self._drop(self.embed(before)), told], -1)
        if past is None:
            past = self.start(told[:, 0]).tanh().unsqueeze(0)
        states, past = self.gru(x, past)
        return torch.cat([self._drop(states), told], -1), past

    def logits(self, states: Tensor) -> Tensor:
        return functional.linear(self.out(states), self.embed.weight[1:], self.bias)

    def _drop(self, x: Tensor) -> Tensor:
        """x `[N, T, D]`, the same units of a sentence dropped at all of its places."""
        return x * functional.dropout(torch.ones_like(x[:, :1]), self.dropout, self.training)
