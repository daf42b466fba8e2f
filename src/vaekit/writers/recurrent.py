"""A recurrent network that writes."""

from torch import Tensor, nn

from vaekit.spaces import Text
from vaekit.writers.writer import Writer


class Recurrent(Writer):
    """A GRU of `width` units, whose initial state is read from what it is told. For the rest see
    `vaekit.writers.writer.Writer`.

    References:
        Kyunghyun Cho et al. Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
            Translation. In EMNLP 2014. https://arxiv.org/abs/1406.1078
        Ofir Press, Lior Wolf. Using the Output Embedding to Improve Language Models. In EACL 2017.
            https://arxiv.org/abs/1608.05859
        (dropout) Yarin Gal, Zoubin Ghahramani. A Theoretically Grounded Application of Dropout in Recurrent Neural
            Networks. In NeurIPS 2016. https://arxiv.org/abs/1512.05287
    """

    def __init__(
        self,
        space: Text,
        told: int,
        width: int = 256,
        embedding: int = 128,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ):
        super().__init__(space, told, width, embedding, dropout, word_dropout)
        self.told = told
        self.hidden_proj = nn.Linear(told, width)
        self.gru = nn.GRU(embedding + told, width, batch_first=True)

    def read(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        if past is None:
            past = self.hidden_proj(x[:, 0, -self.told :]).tanh().unsqueeze(0)
        return self.gru(x, past)
