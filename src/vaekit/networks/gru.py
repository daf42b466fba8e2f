"""Recurrent networks, for text.

References:
    Kyunghyun Cho et al. Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation.
        In EMNLP 2014. https://arxiv.org/abs/1406.1078
    Teng Long, Yanshuai Cao, Jackie Chi Kit Cheung. On Posterior Collapse and Encoder Feature Dispersion in Sequence
        VAEs. arXiv 2019. https://arxiv.org/abs/1911.03976
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vaekit.networks.linear import Linear
from vaekit.networks.network import Features
from vaekit.refusal import Refusal, at_least_one
from vaekit.spaces import Space, Text, sentence_mask


def token_numbers(x: Tensor) -> Tensor:
    """x `[N, T]` as whole numbers. Raises `Refusal` for half precision, which does not hold them."""
    if x.dtype in (torch.float16, torch.bfloat16):
        raise Refusal(f"Half precision, {x.dtype}, does not hold token numbers; use trainer.precision=bf16-mixed.")
    return x.long()


class Encoder(Features):
    """Tokens `[N, T]` -> the largest states of a GRU in each direction over the sentence, `[N, 2 * width]`.

    They are taken over all places because those of the last one differ too little between sentences (Long et al. 2019).
    """

    reads = Text

    def __init__(self, space: Text, width: int, embedding: int, dropout: float = 0.0):
        super().__init__()
        at_least_one(width=(width, 256), embedding=(embedding, 128))
        self.out_shape = (2 * width,)
        self.dropout = dropout
        self.embed = nn.Embedding(space.vocabulary, embedding)
        self.gru = nn.GRU(embedding, width, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        numbers = token_numbers(x)
        lengths = sentence_mask(numbers).sum(1).cpu()
        embedded = dropout(self.embed(numbers), self.dropout, self.training)
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, padding_value=-torch.inf)
        return states.amax(1)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `params` numbers, the same at every place: `[N, params, *space.shape]`.

    References:
        none
    """

    def __init__(self, in_shape: tuple[int, ...], space: Space, params: int):
        super().__init__()
        self.in_shape, self.space = in_shape, space
        self.linear = Linear(torch.Size(in_shape).numel(), params, bias=False)  # the likelihood owns the bias

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z.flatten(1)).unsqueeze(-1).expand(-1, -1, *self.space.shape)
