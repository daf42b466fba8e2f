"""Tables: each column by a marginal of its kind."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal
from torch.nn.functional import softplus

from vaekit.distributions.table import Cells, Counts
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Space
from vaekit.spaces import Table as TableSpace

FLOOR = 0.02  # below it a density of a column that another one settles can grow without bound


class Table(Likelihood):
    """p(x | z) = prod_columns p(x_c | z): normal with a scale learned a column for numeric ones, negative binomial with
    a dispersion learned a column for counts up to the file's largest, Bernoulli, and categorical (Nazabal et al. 2020).
    Whether a cell is missing is a Bernoulli variable of the row, too, in columns where some are: log p is of what is
    observed and of what is missing. A category that the file does not hold has the probability of `Column.unseen`.

    Log-likelihoods of numeric columns are measured on their normal quantiles (`vaekit.spaces.column.Column`), not in
    the file's units: they compare models of the same table, and no two tables.

    References:
        Alfredo Nazábal et al. Handling Incomplete Heterogeneous Data using VAEs. In Pattern Recognition 107, 2020.
            https://arxiv.org/abs/1807.03653
    """

    values = frozenset({"table"})
    largest: Tensor
    unseen: Tensor
    order: Tensor

    def __init__(self, space: Space, network: Callable):
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
        binary, gone = (Bernoulli(logits=each, validate_args=False) for each in (logit, missing))
        return Cells(normal, counts, binary, blocks, gone, self.order, self.unseen.to(loc))

    def bias_at(self, mean: Tensor) -> Tensor:
        loc, counts, binary, *blocks, missing = mean[self.order].split(self.sizes)
        likely = [block.clamp(min=1e-4).log() for block in blocks]
        parts = [loc, counts.expm1().clamp(min=1e-3).log(), binary.logit(1e-4), *likely, missing.logit(1e-4)]
        return torch.cat(parts)[self.order.argsort()].unsqueeze(0)
