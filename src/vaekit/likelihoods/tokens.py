"""Tokens of a sentence that see z and the tokens before them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.tokens import Network
from vaekit.distributions.tokens import Tokens as Sentence
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.refusal import at_least_one
from vaekit.spaces import Space, Text


class Tokens(Likelihood):
    """p(x | z) = prod_t p(x_t | x_1 ... x_t-1, z), a softmax over the vocabulary, by a writer told of z at every step.

    The network makes `told` numbers of z, which writer(space, told) reads beside an embedding of the token before, and
    so does the layer that chooses the next one: see `vaekit.writers.writer.Writer`.
    Where the tokens before say enough, the rate falls to 0; free bits (objective.free_bits.value=5) keep it, and so do
    a warm-up and word dropout. The mean of a sentence is a greedy one (`vaekit.distributions.tokens.Tokens`).

    References:
        Samuel Bowman et al. Generating Sentences from a Continuous Space. In CoNLL 2016.
            https://arxiv.org/abs/1511.06349
    """

    values = frozenset({"tokens"})
    gives = frozenset({Capability.AUTOREGRESSIVE})

    def __init__(self, space: Space, network: Callable, writer: Callable[[Text, int], Network], told: int = 64):
        at_least_one(told=(told, 64))
        assert isinstance(space, Text)
        super().__init__(space, network, params=told)
        self.writer = writer(space, told)

    def distribution(self, *params: Tensor) -> Distribution:
        return Sentence(self.writer, torch.stack(params, -1))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: the mean of token numbers says nothing."""
        return torch.zeros_like(self.bias)
