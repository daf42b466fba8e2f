"""Sentences: each token conditioned on z and the tokens before it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.tokens import Network
from vaekit.distributions.tokens import Tokens as Sentence
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.refusal import at_least_one
from vaekit.spaces import Space, Text


class Tokens(Likelihood):
    """p(x | z) = prod_t p(x_t | x_1 ... x_t-1, z), a softmax over the vocabulary, by a writer conditioned on z.

    The network computes a context of `context` numbers from z. The writer reads it next to the embedding of the token
    before, and so does the layer that predicts the next token (`vaekit.writers.writer.Writer`). Where the tokens before
    are informative enough, the rate of z falls to 0; free bits (objective.free_bits.value=5), a warm-up or word dropout
    prevent this. The mean of a sentence is the greedy one (`vaekit.distributions.tokens.Tokens`).

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        writer: `writer(space, context)` builds the network over tokens.
        context: Size of the context that the writer gets.

    Raises:
        Refusal: If `context` is below 1.

    References:
        Samuel Bowman et al. Generating Sentences from a Continuous Space. In CoNLL 2016.
            https://arxiv.org/abs/1511.06349

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.tokens import Tokens
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Text
        >>> from vaekit.writers.recurrent import Recurrent
        >>> space = Text((6,), tokenizer='{"model": {"vocab": {"<pad>": 0, "<eos>": 1, "<unk>": 2, "a": 3}}}')
        >>> likelihood = Tokens(space, lambda params: Decoder((2,), space, params, hidden=[8]), Recurrent, context=4)
        >>> likelihood(torch.zeros(5, 2)).sample().shape
        torch.Size([5, 6])
    """

    values = frozenset({"tokens"})
    gives = frozenset({Capability.AUTOREGRESSIVE})

    def __init__(self, space: Space, network: BuildNetwork, writer: Callable[[Text, int], Network], context: int = 64):
        at_least_one(context=(context, 64))
        assert isinstance(space, Text)
        super().__init__(space, network, params=context)
        self.writer = writer(space, context)

    def distribution(self, *params: Tensor) -> Distribution:
        return Sentence(self.writer, torch.stack(params, -1))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: a mean of token numbers has no meaning."""
        return torch.zeros_like(self.bias)
