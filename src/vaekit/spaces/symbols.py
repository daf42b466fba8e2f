"""Cells of a table as integers: the classes of a softmax for each column."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, one_hot, pad

from vaekit import quantiles
from vaekit.spaces.column import Column

HALF = 0.5  # a binary cell with an unseen value
SMOOTH = 32  # largest number of cosine features of the bins of a column
EPSILON = 1e-7  # in float32 1 - EPSILON is below 1, and its normal quantile finite


def count_of(x: Tensor) -> Tensor:
    """The count n, also a negative one, that x = sign(n) log(1 + |n|) represents.

    Args:
        x: Of any shape.
    """
    return (x.sign() * x.abs().expm1()).round()


def log_fraction(beyond: Tensor) -> Tensor:
    """log of the fraction of the probability of all unseen counts that one unseen count has.

    1/4, 1/12, 1/24, ... at the distances 1, 2, 3, ... sum to 1/2 on each side. 0 at a distance of 0.

    Args:
        beyond: The distance of the count from 0 ... largest, an integer.
    """
    return -(2 * beyond * (beyond + 1)).clamp(min=1).log()


class CellSymbols(nn.Module):
    """The numbers of a column's cells, `[..., width]`, as symbols 0, 1, ..., and back.

    The last symbol of a nullable column is a missing cell. A subclass defines `index`, `numbers`, `expected` and
    `start`, and also `outside` and `score` if cells can have values outside those of the file.

    Args:
        column: The column.
        values: Number of symbols of cells that are not missing.
    """

    def __init__(self, column: Column, values: int):
        super().__init__()
        self.values, self.nullable = values, column.nullable
        self.size = values + column.nullable
        self.width = column.width - column.nullable  # numbers of a value
        self.log_unseen, self.log_seen = math.log(column.unseen), math.log1p(-column.unseen)

    def index(self, value: Tensor) -> Tensor:
        """The symbol of values `[..., width]`."""
        raise NotImplementedError

    def numbers(self, symbol: Tensor, quantile: Tensor) -> Tensor:
        """Values `[..., width]` of symbols, at a quantile, from 0 to 1, of the values of each symbol, both `[...]`."""
        raise NotImplementedError

    def expected(self, p: Tensor) -> Tensor:
        """The mean `[..., width]` of values with these probabilities `[..., values]`."""
        raise NotImplementedError

    def start(self, mean: Tensor) -> Tensor:
        """Logits `[values]` of values with this mean `[width]`."""
        raise NotImplementedError

    def features(self) -> Tensor | None:
        """Features `[size, features]` by which symbols of near values are similar; None without an order of values."""
        return None

    def outside(self, value: Tensor) -> Tensor:
        """How far values `[..., width]` are outside those of the file, 0 for those within."""
        return torch.zeros_like(value[..., 0])

    def score(self, value: Tensor, log_p: Tensor) -> Tensor:
        """log p of values, given that of their symbols."""
        return torch.where(self.outside(value) > 0, self.log_unseen, self.log_seen + log_p)

    def missing(self, x: Tensor) -> Tensor:
        """Which cells are missing."""
        return x[..., -1] > HALF if self.nullable else torch.zeros_like(x[..., 0], dtype=torch.bool)

    def known(self, x: Tensor, observed: Tensor) -> Tensor:
        """Which cells have a known symbol; `observed` says which of the numbers x are, in the same shape."""
        missing = self.missing(x)
        value = observed[..., 0] & (self.outside(x[..., : self.width]) == 0)
        return torch.where(missing, observed[..., -1], value)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(self.missing(x), self.values, self.index(x[..., : self.width]))

    def log_prob(self, x: Tensor, logits: Tensor) -> Tensor:
        """log p of each number of cells x `[..., width]`: of the value at its first one, and of whether it is missing.

        Args:
            x: Numbers of cells.
            logits: Of the symbols, `[..., size]`.
        """
        value, present = x[..., : self.width], logits[..., : self.values]
        index = self.index(value)
        shape = torch.broadcast_shapes(index.shape, present.shape[:-1])
        chosen = present.expand(*shape, -1).gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1)
        total = present.logsumexp(-1)
        first = self.score(value, chosen - total)
        if not self.nullable:
            return pad(first.unsqueeze(-1), (0, self.width - 1))
        odds, missing = logits[..., -1] - total, self.missing(x)
        absent = logsigmoid(torch.where(missing, odds, -odds))
        first = first.masked_fill(missing, 0)
        return torch.cat([pad(first.unsqueeze(-1), (0, self.width - 1)), absent.unsqueeze(-1)], -1)

    def cells(self, symbol: Tensor, quantile: Tensor) -> Tensor:
        """x of symbols; for `quantile` see `numbers`."""
        missing = (symbol == self.values).unsqueeze(-1)
        x = self.numbers(symbol.clamp(max=self.values - 1), quantile)
        return torch.cat([x.masked_fill(missing, 0), missing.to(x)], -1) if self.nullable else x

    def logits_at(self, mean: Tensor) -> Tensor:
        """Logits `[size]` of cells x with about this mean `[width]`."""
        logits = self.start(mean[: self.width]).log_softmax(0)
        return torch.cat([logits, mean[-1:].logit(1e-4)]) if self.nullable else logits

    def mean(self, logits: Tensor) -> Tensor:
        """The mean of x; that of values is of cells that are not missing."""
        x = self.expected(logits[..., : self.values].softmax(-1))
        return torch.cat([x, logits.softmax(-1)[..., -1:]], -1) if self.nullable else x


class Bins(CellSymbols):
    """Numeric columns: bins of normal quantiles, within which a value follows the standard normal distribution.

    If each bin has its probability under the standard normal distribution, values follow that distribution, also beyond
    the range of the file. A frequent value has a bin of its own, which holds all normal quantiles that map to it; if
    only repeated values occur, each has one. The rest is divided into bins of equal probability.

    Args:
        column: The column.
        bins: Number of bins of the rest.

    Example:
        >>> from vaekit.spaces.symbols import Bins
        >>> from vaekit.spaces.column import Column
        >>> bins = Bins(Column("x", "real", quantiles=[0, 0, 1], normals=[-3, 0, 3]), bins=2)
        >>> bins.edges.tolist()  # as probabilities: 0 has half of them
        [0.0, 0.5, 0.75, 1.0]
    """

    edges: Tensor
    inner: Tensor
    log_mass: Tensor
    means: Tensor

    def __init__(self, column: Column, bins: int):
        edges, self.frequent = map(torch.from_numpy, _edges(column, bins))
        super().__init__(column, len(edges) - 1)
        at, mass = torch.special.ndtri(edges), edges.diff()
        density = (-at.square() / 2).exp() / math.sqrt(2 * math.pi)
        buffers = {"edges": edges, "inner": at[1:-1], "log_mass": mass.log(), "means": -density.diff() / mass}
        for name, each in buffers.items():
            self.register_buffer(name, each.to(torch.get_default_dtype()), persistent=False)

    def index(self, value: Tensor) -> Tensor:
        return torch.bucketize(value[..., 0].contiguous(), self.inner.to(value), right=True)

    def numbers(self, symbol: Tensor, quantile: Tensor) -> Tensor:
        at = torch.lerp(self.edges[symbol], self.edges[symbol + 1], quantile.to(self.edges))
        return torch.special.ndtri(at.clamp(EPSILON, 1 - EPSILON)).unsqueeze(-1)

    def expected(self, p: Tensor) -> Tensor:
        return (p @ self.means.to(p)).unsqueeze(-1)

    def score(self, value: Tensor, log_p: Tensor) -> Tensor:
        log_phi = -(value[..., 0].square() + math.log(2 * math.pi)) / 2
        return log_p + log_phi - self.log_mass[self.index(value)]

    def start(self, mean: Tensor) -> Tensor:
        return self.log_mass

    def features(self) -> Tensor:
        """Cosines of the number of a bin, and an indicator for each frequent value and missing cells.

        Bins of rare values share parameters in this way; with parameters of its own each would be overfitted.
        """
        number = torch.arange(1, min(SMOOTH, self.values) + 1)
        middle = (torch.arange(self.values).unsqueeze(1) + 0.5) / self.values
        smooth = torch.cos(math.pi * middle * number) / number.sqrt()
        smooth = smooth / smooth.square().sum(1).mean().sqrt()
        own = torch.cat([self.frequent, torch.ones(int(self.nullable), dtype=torch.bool)])
        return torch.cat([pad(smooth, (0, 0, 0, int(self.nullable))), torch.eye(self.size)[:, own]], 1)


class CountSymbols(CellSymbols):
    """Counts 0 ... largest.

    Args:
        column: The column.

    Example:
        >>> import torch
        >>> from vaekit.spaces.symbols import CountSymbols
        >>> from vaekit.spaces.column import Column
        >>> CountSymbols(Column("n", "count", largest=9))(torch.tensor([[4.0]]).log1p())
        tensor([4])
    """

    def __init__(self, column: Column):
        super().__init__(column, column.largest + 1)

    def index(self, value: Tensor) -> Tensor:
        return count_of(value[..., 0]).clamp(0, self.values - 1).long()

    def numbers(self, symbol: Tensor, quantile: Tensor) -> Tensor:
        return symbol.to(quantile).log1p().unsqueeze(-1)

    def expected(self, p: Tensor) -> Tensor:
        return (p @ torch.arange(self.values, device=p.device).to(p)).log1p().unsqueeze(-1)

    def start(self, mean: Tensor) -> Tensor:
        n = mean.expm1().clamp(min=1e-3)  # geometric
        return torch.arange(self.values, device=mean.device) * (n / (1 + n)).log()

    def outside(self, value: Tensor) -> Tensor:
        n = count_of(value[..., 0])
        return (n - n.clamp(0, self.values - 1)).abs()

    def score(self, value: Tensor, log_p: Tensor) -> Tensor:
        return super().score(value, log_p) + log_fraction(self.outside(value))


class Categories(CellSymbols):
    """Categories, as one number of 0 and 1 or as a one-hot block.

    Args:
        column: The column.

    Example:
        >>> import torch
        >>> from vaekit.spaces.symbols import Categories
        >>> from vaekit.spaces.column import Column
        >>> Categories(Column("town", "categorical", ["Ulm", "Bonn", "Kiel"]))(torch.tensor([[0.0, 1.0, 0.0]]))
        tensor([1])
    """

    def __init__(self, column: Column):
        super().__init__(column, len(column.categories))
        self.binary = column.group == "binary"

    def index(self, value: Tensor) -> Tensor:
        return (value[..., 0] > HALF).long() if self.binary else value.argmax(-1)

    def numbers(self, symbol: Tensor, quantile: Tensor) -> Tensor:
        return (symbol.unsqueeze(-1) if self.binary else one_hot(symbol, self.values)).to(quantile)

    def expected(self, p: Tensor) -> Tensor:
        return p[..., 1:] if self.binary else p

    def start(self, mean: Tensor) -> Tensor:
        return (torch.cat([1 - mean, mean]) if self.binary else mean).clamp(min=1e-4).log()

    def outside(self, value: Tensor) -> Tensor:
        unseen = value[..., 0] == HALF if self.binary else (value == 0).all(-1)
        return unseen.to(value)


def cell_symbols(column: Column, bins: int) -> CellSymbols:
    """The symbols of a column of any kind.

    Args:
        column: The column.
        bins: See `Bins`.
    """
    if column.group == "numeric":
        return Bins(column, bins)
    return CountSymbols(column) if column.group == "count" else Categories(column)


def _edges(column: Column, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the bins of a numeric column, as probabilities of the standard normal distribution from 0 to 1, and
    which bins are of a frequent value.
    """
    at = torch.special.ndtr(torch.tensor(column.normals, dtype=torch.float64)).numpy()
    repeated = np.diff(column.quantiles) == 0
    low, high = at[:-1][repeated], at[1:][repeated]
    discrete = (high - low).sum() > (1 - quantiles.FREQUENT) * (at[-1] - at[0])
    own = high - low > (0 if discrete else quantiles.FREQUENT)
    rest = 1 - (high - low)[own].sum()
    edges, frequent = [0.0], list[bool]()
    for start, end in zip([*low[own], 1.0], [*high[own], None], strict=True):
        gap = start - edges[-1]  # a narrow one joins the frequent value next to it
        if gap > quantiles.FREQUENT:
            edges += np.linspace(edges[-1], start, max(1, round(gap / rest * bins)) + 1)[1:].tolist()
        frequent += [False] * (len(edges) - 1 - len(frequent))
        if end is not None:
            edges, frequent = [*edges, end], [*frequent, True]
    return np.array([*edges[:-1], 1.0]), np.array(frequent)
