"""Rows of tables: each cell conditioned on z and any other cells."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.row import Row
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.networks.any_order import AnyOrder
from vaekit.refusal import at_least_one
from vaekit.spaces import Space, Table
from vaekit.spaces.symbols import cell_symbols


class TableAutoregressive(Likelihood):
    """p(x | z) = prod_c p(x_c | z, x_1 ... x_c-1) over the columns c of a table, a softmax over symbols each.

    The symbols of a column are its categories, the counts up to the largest one of the file, or bins of normal
    quantiles: a frequent number has its own bin, so that draws repeat it as often as the file does
    (`vaekit.spaces.symbols`). Log-likelihoods are measured as with `likelihood=table`, and are comparable with
    its.

    In training half of the rows have a random order of the columns, so that the network also learns p(x_c | z, any
    other cells) (Uria et al. 2014). Missing cells are left out, and rows are drawn given any cells. The columns explain
    each other, so the rate of z is often near 0.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        width: Dimensions of the state of a column.
        blocks: Residual blocks of the network of the columns.
        dropout: Probability with which a unit of these blocks is dropped in training; 0 because averaged weights gain
            nothing from it.
        bins: Number of bins of a numeric column, in addition to those of its frequent numbers.

    Raises:
        Refusal: If a number is below 1.

    References:
        Benigno Uria et al. A Deep and Tractable Density Estimator. In ICML 2014. https://arxiv.org/abs/1310.1757
        Zongheng Yang et al. Deep Unsupervised Cardinality Estimation. In VLDB 2019. https://arxiv.org/abs/1905.04278

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.table_autoregressive import TableAutoregressive
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Table
        >>> from vaekit.spaces.column import Column
        >>> space = Table.of([Column("n", "count", largest=9), Column("town", "categorical", ["Ulm", "Bonn", "Kiel"])])
        >>> likelihood = TableAutoregressive(
        ...     space, lambda params: Decoder((2,), space, params, hidden=[8]), width=8, blocks=1
        ... )
        >>> likelihood(torch.zeros(5, 2)).sample().shape
        torch.Size([5, 4])
    """

    columns: Any  # of `CellSymbols`
    values = frozenset({"table"})
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN, Capability.MARGINAL})

    def __init__(
        self,
        space: Space,
        network: BuildNetwork,
        width: int = 128,
        blocks: int = 2,
        dropout: float = 0.0,
        bins: int = 100,
    ):
        at_least_one(width=(width, 128), blocks=(blocks, 2), bins=(bins, 100))
        assert isinstance(space, Table)
        super().__init__(space, network, params=1)
        self.widths = [column.width for column in space.ordered]
        self.columns = nn.ModuleList(cell_symbols(column, bins) for column in space.ordered)
        sizes, features = zip(*((each.size, each.features()) for each in self.columns), strict=True)
        self.conditionals = AnyOrder(sizes, space.size, width, blocks, dropout, features)

    def distribution(self, *params: Tensor) -> Distribution:
        return Row(self.conditionals, list(self.columns), params[0], shuffled=self.training)

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: before training the context has no relation to the mean."""
        return torch.zeros_like(self.bias)

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        """Start at the marginal distribution of each column."""
        super().start_from(data)
        means = data.mean().to(self.bias).split(self.widths)
        logits = [column.logits_at(mean) for column, mean in zip(self.columns, means, strict=True)]
        self.conditionals.bias.copy_(torch.cat(logits))
