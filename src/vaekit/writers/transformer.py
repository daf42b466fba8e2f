"""A transformer as writer."""

from torch import Tensor, nn

from vaekit.networks.transformer import Causal, check_sizes
from vaekit.spaces import Text
from vaekit.writers.writer import Writer


class Transformer(Writer):
    """A causal transformer that reads z at every position, at its input and at its output.

    Args:
        space: The space of x.
        context_size: Number of features of z at each position.
        width: Dimensions of a state.
        blocks: Number of blocks.
        heads: Attention heads of each block.
        embedding: Dimensions of a token's embedding.
        dropout: See `vaekit.writers.writer.Writer`.
        word_dropout: See `vaekit.writers.writer.Writer`.

    Raises:
        Refusal: If a size is below 1, a dropout is outside [0, 1), or `heads` does not divide `width`.

    References:
        Ashish Vaswani et al. Attention Is All You Need. In NeurIPS 2017. https://arxiv.org/abs/1706.03762
        Ofir Press, Lior Wolf. Using the Output Embedding to Improve Language Models. In EACL 2017.
            https://arxiv.org/abs/1608.05859
        (dropout) Yarin Gal, Zoubin Ghahramani. A Theoretically Grounded Application of Dropout in Recurrent Neural
            Networks. In NeurIPS 2016. https://arxiv.org/abs/1512.05287

    Example:
        >>> import torch
        >>> from vaekit.data.text import learn
        >>> from vaekit.spaces import Text
        >>> from vaekit.writers.transformer import Transformer
        >>> writer = Transformer(Text((6,), learn(["a man"])), 3, width=8, blocks=1, heads=2, embedding=4)
        >>> states, past = writer.states(torch.zeros(5, 6, dtype=torch.long), torch.zeros(5, 6, 3))
        >>> states.shape
        torch.Size([5, 6, 11])
    """

    def __init__(
        self,
        space: Text,
        context_size: int,
        width: int = 256,
        blocks: int = 2,
        heads: int = 4,
        embedding: int = 128,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ):
        super().__init__(space, context_size, width, embedding, dropout, word_dropout)
        check_sizes(width, blocks, heads)
        self.input_proj = nn.Linear(embedding + context_size, width)
        self.transformer = Causal(space.size, width, blocks, heads)

    def hidden_states(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.transformer(self.input_proj(x), past)
