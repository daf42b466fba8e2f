"""A recurrent writer."""

from torch import Tensor, nn

from vaekit.spaces import Text
from vaekit.writers.writer import Writer


class Recurrent(Writer):
    """A GRU whose initial state is a function of z, and which reads z at every position.

    Args:
        space: The space of x.
        context_size: Number of features of z at each position.
        width: Units of a state.
        embedding: Dimensions of a token's embedding.
        dropout: See `vaekit.writers.writer.Writer`.
        word_dropout: See `vaekit.writers.writer.Writer`.

    Raises:
        Refusal: If `width` or `embedding` is below 1, or a dropout is outside [0, 1).

    References:
        Kyunghyun Cho et al. Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
            Translation. In EMNLP 2014. https://arxiv.org/abs/1406.1078
        Ofir Press, Lior Wolf. Using the Output Embedding to Improve Language Models. In EACL 2017.
            https://arxiv.org/abs/1608.05859
        (dropout) Yarin Gal, Zoubin Ghahramani. A Theoretically Grounded Application of Dropout in Recurrent Neural
            Networks. In NeurIPS 2016. https://arxiv.org/abs/1512.05287

    Example:
        >>> import torch
        >>> from vaekit.data.text import learn
        >>> from vaekit.spaces import Text
        >>> from vaekit.writers.recurrent import Recurrent
        >>> writer = Recurrent(Text((6,), learn(["a man"])), 3, width=8, embedding=4)
        >>> states, past = writer.states(torch.zeros(5, 6, dtype=torch.long), torch.zeros(5, 6, 3))
        >>> states.shape
        torch.Size([5, 6, 11])
    """

    def __init__(
        self,
        space: Text,
        context_size: int,
        width: int = 256,
        embedding: int = 128,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ):
        super().__init__(space, context_size, width, embedding, dropout, word_dropout)
        self.context_size = context_size
        self.hidden_proj = nn.Linear(context_size, width)
        self.gru = nn.GRU(embedding + context_size, width, batch_first=True)

    def hidden_states(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        if past is None:
            past = self.hidden_proj(x[:, 0, -self.context_size :]).tanh().unsqueeze(0)
        return self.gru(x, past)
