"""A transformer that writes."""

from torch import Tensor, nn

from vaekit.networks.transformer import Causal, refuse_sizes
from vaekit.spaces import Text
from vaekit.writers.writer import Writer


class Transformer(Writer):
    """`blocks` causal blocks of `width` units and `heads` heads, told of z where they read and where they choose. For
    the rest see `vaekit.writers.writer.Writer`.

    References:
        Ashish Vaswani et al. Attention Is All You Need. In NeurIPS 2017. https://arxiv.org/abs/1706.03762
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
        blocks: int = 2,
        heads: int = 4,
        embedding: int = 128,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ):
        super().__init__(space, told, width, embedding, dropout, word_dropout)
        refuse_sizes(width, blocks, heads)
        self.input_proj = nn.Linear(embedding + told, width)
        self.transformer = Causal(space.size, width, blocks, heads)

    def read(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.transformer(self.input_proj(x), past)
