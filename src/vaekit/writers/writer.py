"""The base class of writers, networks that give the probability of the next token."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaekit.refusal import at_least_one, below_one
from vaekit.spaces import UNKNOWN, Text


class Writer(nn.Module):
    """A `vaekit.distributions.tokens.Network` conditioned on z.

    A subclass states `hidden_states`. Input and output share their embedding (Press and Wolf 2017).

    Args:
        space: The space of x.
        context_size: Number of features of z at each position.
        width: Units of a state.
        embedding: Dimensions of a token's embedding.
        dropout: Probability with which a unit of embeddings and states is dropped in training, at all positions of a
            sentence alike (Gal and Ghahramani 2016).
        word_dropout: Probability with which a preceding token is replaced by <unk> in training (Bowman et al. 2016,
            section 3.1), so that z has to carry it.

    Raises:
        Refusal: If `width` or `embedding` is below 1, or a dropout is outside [0, 1).
    """

    def __init__(self, space: Text, context_size: int, width: int, embedding: int, dropout: float, word_dropout: float):
        at_least_one(width=(width, 256), embedding=(embedding, 128))
        below_one(dropout=(dropout, 0.3), word_dropout=(word_dropout, 0.3))
        super().__init__()
        self.dropout, self.word_dropout = dropout, word_dropout
        self.embed = nn.Embedding(space.vocabulary, embedding)  # the row of <pad> embeds the start
        self.out = nn.Linear(width + context_size, embedding)
        self.bias = nn.Parameter(torch.zeros(space.vocabulary - 1))
        nn.init.normal_(self.embed.weight, std=embedding**-0.5)

    def hidden_states(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """States `[N, T, width]` and the past `[L, N, ...]`.

        Args:
            x: The embedded tokens before, each followed by the context, `[N, T, embedding + context_size]`.
            past: What the last call returned; None at the start.
        """
        raise NotImplementedError

    def states(self, before: Tensor, context: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and self.word_dropout:
            dropped = torch.rand(before.shape, device=before.device) < self.word_dropout
            before = before.masked_fill(dropped & (before > UNKNOWN), UNKNOWN)
        states, past = self.hidden_states(torch.cat([self._drop(self.embed(before)), context], -1), past)
        return torch.cat([self._drop(states), context], -1), past

    def logits(self, states: Tensor) -> Tensor:
        return functional.linear(self.out(states), self.embed.weight[1:], self.bias)

    def _drop(self, x: Tensor) -> Tensor:
        """x `[N, T, D]` with the same units dropped at all positions of a sentence."""
        return x * functional.dropout(torch.ones_like(x[:, :1]), self.dropout, self.training)
