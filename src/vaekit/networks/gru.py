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
    """Tokens `[N, T]`, stored as floating-point numbers, as integers.

    Args:
        x: Token ids.

    Raises:
        Refusal: If x is in half precision, which does not represent all token ids.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        raise Refusal(f"{x.dtype} does not represent all token ids; use trainer.precision=bf16-mixed.")
    return x.long()


class Encoder(Features):
    """Tokens `[N, T]` -> the maximum over time of a bidirectional GRU's states, `[N, 2 * width]`.

    The maximum, because the last states differ too little between sentences (Long et al. 2019).

    Args:
        space: The space of x.
        width: Units in each direction.
        embedding: Dimensions of a token's embedding.
        dropout: Probability with which a unit of the embeddings is dropped in training.

    Raises:
        Refusal: If `width` or `embedding` is below 1.

    Example:
        >>> import torch
        >>> from vaekit.data.text import learn
        >>> from vaekit.networks.gru import Encoder
        >>> from vaekit.spaces import Text
        >>> space = Text((6,), learn(["a man", "two men"]))
        >>> x = torch.from_numpy(space.pad([[4, 5], [6]]))
        >>> Encoder(space, width=8, embedding=4)(x).shape
        torch.Size([2, 16])
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
    """Latent state `[N, *in_shape]` -> `params` numbers, the same at every position: `[N, params, *space.shape]`.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per token that the likelihood needs.

    References:
        none

    Example:
        >>> import torch
        >>> from vaekit.networks.gru import Decoder
        >>> from vaekit.spaces import Real
        >>> Decoder((3,), Real((6,)), params=4)(torch.zeros(2, 3)).shape
        torch.Size([2, 4, 6])
    """

    def __init__(self, in_shape: tuple[int, ...], space: Space, params: int):
        super().__init__()
        self.in_shape, self.space = in_shape, space
        self.linear = Linear(torch.Size(in_shape).numel(), params, bias=False)  # the likelihood adds a bias

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z.flatten(1)).unsqueeze(-1).expand(-1, -1, *self.space.shape)
