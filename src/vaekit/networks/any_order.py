"""Logits of each symbol of a row given any subset of its other symbols.

References:
    Benigno Uria et al. A Deep and Tractable Density Estimator. In ICML 2014. https://arxiv.org/abs/1310.1757
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaekit.networks.glorot import glorot


class AnyOrder(nn.Module):
    """Symbols and a context -> logits of each symbol given some of the others.

    The state of a column is a residual MLP of the sum of the embeddings of the given symbols, a vector of the column
    and a projection of the context. The MLP has the same weights for all columns, except for gains of its units.
    Before training the logits are nearly those of `bias`.

    Args:
        sizes: Number of symbols of each column.
        context: Dimensions of the context.
        width: Dimensions of a state.
        blocks: Residual blocks.
        dropout: Probability with which a unit of a block is dropped in training.
        features: Features of the symbols of each column, `[size, features]`; embeddings and logits are linear functions
            of them. None for an embedding of its own for each symbol.

    Example:
        >>> import torch
        >>> from vaekit.networks.any_order import AnyOrder
        >>> network = AnyOrder([2, 3], context=4, width=8, blocks=1)
        >>> embedded = network.embed(torch.tensor([[1, 2]]))                    # [1, 2, 8]
        >>> states = network.states(embedded.flip(1), torch.zeros(1, 4))        # each column given the other one
        >>> [network.logits(states[:, column], column).shape for column in (0, 1)]
        [torch.Size([1, 2]), torch.Size([1, 3])]
    """

    first: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        context: int,
        width: int,
        blocks: int,
        dropout: float = 0.0,
        features: Sequence[Tensor | None] | None = None,
    ):
        super().__init__()
        self.sizes, self.dropout = list(sizes), dropout
        columns, symbols = len(sizes), sum(sizes)
        self.register_buffer("first", torch.tensor([0, *sizes[:-1]]).cumsum(0), persistent=False)
        each = [None] * columns if features is None else features
        for number, of_column in enumerate(each):
            self.register_buffer(f"features_{number}", of_column, persistent=False)
        self.rows = [n if f is None else f.shape[1] for n, f in zip(sizes, each, strict=True)]
        self.embedding = nn.Parameter(torch.randn(sum(self.rows), width) / math.sqrt(columns))
        self.column = nn.Parameter(torch.randn(columns, width) / 2)
        self.context_proj = glorot(nn.Linear(context, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks + 1))
        self.up = glorot(nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(blocks)))
        self.down = glorot(nn.ModuleList(nn.Linear(2 * width, width) for _ in range(blocks)))
        self.gain = nn.Parameter(torch.ones(blocks, columns, 2 * width))
        self.head = nn.Parameter(1e-3 * torch.randn(sum(self.rows), width))  # not 0, which would stop all gradients
        self.bias = nn.Parameter(torch.zeros(symbols))

    def _features(self, column: int) -> Tensor | None:
        return getattr(self, f"features_{column}")

    def embed(self, symbols: Tensor, columns: slice = slice(None)) -> Tensor:
        """Embeddings `[..., columns, width]` of symbols `[..., columns]`."""
        parts = self.embedding.split(self.rows)[columns]
        features = map(self._features, range(len(self.sizes))[columns])
        table = torch.cat([part if f is None else f @ part for f, part in zip(features, parts, strict=True)])
        first = self.first[columns]
        return functional.embedding(symbols + (first - first[0]), table)

    def states(self, given: Tensor, context: Tensor, columns: slice = slice(None)) -> Tensor:
        """The states of some columns.

        Args:
            given: Sum of the embeddings of the symbols that each column is given, `[..., columns, width]`.
            context: `[..., context]`.
            columns: Which columns.

        Returns:
            `[..., columns, width]`.
        """
        h = given + self.column[columns] + self.context_proj(context).unsqueeze(-2)
        for norm, up, gain, down in zip(self.norms, self.up, self.gain, self.down, strict=False):
            units = functional.silu(up(norm(h)) * gain[columns])
            h = h + down(functional.dropout(units, self.dropout, self.training))
        return self.norms[-1](h)

    def logits(self, state: Tensor, column: int) -> Tensor:
        """Logits `[..., sizes[column]]` of a column from its states `[..., width]`."""
        head, bias, features = (
            self.head.split(self.rows)[column],
            self.bias.split(self.sizes)[column],
            self._features(column),
        )
        if features is None:
            return functional.linear(state, head, bias)
        return functional.linear(functional.linear(state, head), features, bias)
