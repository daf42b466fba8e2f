"""Rows of tables: each column by a distribution of its kind."""

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal
from torch.nn.functional import softplus

from vaekit.distributions.table import Cells, Counts
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Space
from vaekit.spaces import Table as TableSpace

FLOOR = 0.02  # below it the density of a column that is a function of others can grow without bound


class Table(Likelihood):
    """p(x | z) = prod_c p(x_c | z) over the columns c of a table (Nazabal et al. 2020).

    Numeric columns: normal, with a learned scale each. Counts: negative binomial up to the largest count of the file,
    with a learned dispersion each. The others: Bernoulli or categorical; a category that is not in the file has the
    probability `Column.unseen`. In columns with missing cells, the missingness is a Bernoulli variable as well, so that
    log p includes both the observed values and which cells are missing.

    Log-likelihoods of numeric columns are measured on their normal quantiles (`vaekit.spaces.column.Column`), not in
    units of the file: they compare models of one table, not of two tables.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Alfredo Nazábal et al. Handling Incomplete Heterogeneous Data using VAEs. In Pattern Recognition 107, 2020.
            https://arxiv.org/abs/1807.03653

    Example:
        >>> import torch
        >>> from vaekit import spaces
        >>> from vaekit.likelihoods.table import Table
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces.column import Column
        >>> space = spaces.Table.of([Column("n", "count", largest=9)])
        >>> likelihood = Table(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 1)).shape
        torch.Size([5])
    """

    values = frozenset({"table"})
    largest: Tensor
    unseen: Tensor
    order: Tensor

    def __init__(self, space: Space, network: BuildNetwork):
        assert isinstance(space, TableSpace)
        super().__init__(space, network, params=1)
        self.sizes = space.sizes
        self.register_buffer("order", space.order, persistent=False)
        self.log_scale = nn.Parameter(torch.full((self.sizes[0],), -0.5)) if self.sizes[0] else None
        counts = [column for column in space.ordered if column.group == "count"]
        unseen = [column.unseen for column in space.ordered if column.group != "numeric"]
        self.register_buffer("largest", torch.tensor([column.largest for column in counts]), persistent=False)
        self.register_buffer("unseen", torch.tensor(unseen, dtype=torch.float32), persistent=False)
        self.log_total = nn.Parameter(torch.zeros(self.sizes[1])) if self.sizes[1] else None

    def distribution(self, *params: Tensor) -> Distribution:
        loc, log_mean, logit, *blocks, missing = params[0][..., self.order].split(self.sizes, -1)
        scale = torch.ones_like(loc) if self.log_scale is None else (self.log_scale.exp() + FLOOR).expand_as(loc)
        total = log_mean.new_ones(0) if self.log_total is None else softplus(self.log_total)
        counts = Counts(total, log_mean - total.log(), self.largest)
        normal = Normal(loc, scale, validate_args=False)
        binary, absent = (Bernoulli(logits=each, validate_args=False) for each in (logit, missing))
        return Cells(normal, counts, binary, blocks, absent, self.order, self.unseen.to(loc))

    def bias_at(self, mean: Tensor) -> Tensor:
        loc, counts, binary, *blocks, missing = mean[self.order].split(self.sizes)
        likely = [block.clamp(min=1e-4).log() for block in blocks]
        parts = [loc, counts.expm1().clamp(min=1e-3).log(), binary.logit(1e-4), *likely, missing.logit(1e-4)]
        return torch.cat(parts)[self.order.argsort()].unsqueeze(0)
