"""Rows of a table whose cells are drawn one after another, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical, constraints
from torch.types import _size

from vaekit.distributions.autoregressive import Autoregressive
from vaekit.distributions.marginal import Marginal
from vaekit.distributions.precision import full_precision
from vaekit.entropy_coder import Code
from vaekit.spaces.symbols import CellSymbols

SHUFFLED = 0.5  # fraction of rows in a random order; the others are in the order of draws and scores


class Network(Protocol):
    """A module that gives the logits of a column's symbols, given symbols of any other columns and a context.

    `states` takes the sum of the embeddings of the given symbols.
    """

    def embed(self, symbols: Tensor, columns: slice = ...) -> Tensor: ...

    def states(self, given: Tensor, context: Tensor, columns: slice = ...) -> Tensor: ...

    def logits(self, state: Tensor, column: int) -> Tensor: ...


class Row(Autoregressive, Marginal):
    """p(x) = prod_c p(x_c | x_1 ... x_c-1) over the columns c of a table, by a network given any subset of the cells.

    `log_prob` takes one pass of the network, a draw one pass for each column. Cells with unseen values have a
    probability, but no later cell is conditioned on them.

    Args:
        network: Gives the logits of a column given any other cells.
        columns: The symbols of each column.
        context: What rows are conditioned on, `[..., dimensions]`.
        shuffled: Whether `log_prob` draws an order of the columns for half of the rows, so that the network learns all
            orders.

    Example:
        >>> import torch
        >>> from vaekit.distributions.row import Row
        >>> from vaekit.networks.any_order import AnyOrder
        >>> from vaekit.spaces.symbols import Categories
        >>> from vaekit.spaces.column import Column
        >>> column = Categories(Column("town", "categorical", ["Ulm", "Bonn", "Kiel"]))
        >>> p = Row(AnyOrder([3, 3], context=2, width=8, blocks=1), [column, column], torch.zeros(5, 2))
        >>> p.sample().shape, p.log_prob(p.sample()).shape
        (torch.Size([5, 6]), torch.Size([5]))
    """

    support = constraints.real

    def __init__(self, network: Network, columns: Sequence[CellSymbols], context: Tensor, shuffled: bool = False):
        self.network, self.columns, self.context, self.shuffled = network, columns, context, shuffled
        self.widths = [column.width + column.nullable for column in columns]
        super().__init__(context.shape[:-1], torch.Size([sum(self.widths)]), validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        context = self.context.expand(*batch_shape, self.context.shape[-1])
        return Row(self.network, self.columns, context, self.shuffled)

    def _cells(self, x: Tensor) -> Sequence[Tensor]:
        return x.split(self.widths, -1)

    def _per_column(self, each: Callable[[CellSymbols, Tensor], Tensor], x: Tensor) -> Tensor:
        return torch.stack([each(column, cell) for column, cell in zip(self.columns, self._cells(x), strict=True)], -1)

    def numbers(self, x: Tensor) -> Tensor:
        return self._per_column(lambda column, cell: column(cell), x)

    def values(self, numbers: Tensor) -> Tensor:
        """x of symbols; a number is drawn within its bin."""
        return self._at(numbers, torch.rand(numbers.shape, dtype=self.context.dtype, device=numbers.device))

    def _at(self, numbers: Tensor, quantile: Tensor) -> Tensor:
        columns = zip(self.columns, numbers.unbind(-1), quantile.unbind(-1), strict=True)
        return torch.cat([column.cells(*each) for column, *each in columns], -1)

    def _known(self, x: Tensor, observed: Tensor) -> Tensor:
        """Which cells others can be conditioned on: those with a known symbol, `[..., columns]`."""
        cells = zip(self.columns, self._cells(x), self._cells(observed), strict=True)
        return torch.stack([column.known(*cell) for column, *cell in cells], -1)

    def logits(self, x: Tensor, observed: Tensor, shuffled: bool = False) -> list[Tensor]:
        """The logits `[..., size]` of each column, given the known cells before it in the order of the columns, or, for
        a `SHUFFLED` fraction of rows, in a random order.
        """
        known = self._known(x, observed)
        embedded = self.network.embed(self.numbers(x))
        columns = len(self.columns)
        position = torch.arange(columns, device=x.device).float()
        if shuffled:
            lead = torch.broadcast_shapes(self.batch_shape, known.shape[:-1])
            other = torch.rand(*lead, columns + 1, device=x.device)
            position = torch.where(other[..., :1] < SHUFFLED, other[..., 1:], position)
        before = known.unsqueeze(-2) & (position.unsqueeze(-2) < position.unsqueeze(-1))
        states = self.network.states(before.to(embedded) @ embedded, self.context)
        return [full_precision(self.network.logits(states[..., c, :], c)) for c in range(columns)]

    def _each(self, x: Tensor, observed: Tensor) -> Tensor:
        """log p of each number `[..., numbers]`, given the observed ones before it in the order."""
        columns = zip(self.columns, self._cells(x), self.logits(x, observed, self.shuffled), strict=True)
        return torch.cat([column.log_prob(*each) for column, *each in columns], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._each(value, torch.ones_like(value, dtype=torch.bool)).sum(-1)

    def log_prob_observed(self, value: Tensor, observed: Tensor) -> Tensor:
        return self._each(value, observed).where(observed, 0).sum(-1)

    @torch.no_grad()
    def sample_sequentially(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        nothing = torch.zeros(n, len(self.columns), dtype=torch.long, device=self.context.device)
        return self._complete(nothing, nothing.bool(), pick)

    def _complete(self, numbers: Tensor, known: Tensor, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Symbols `[n, columns]`, of which those that are not known are picked in the order of the columns."""
        numbers, context = numbers.clone(), self.context.reshape(len(numbers), -1)
        given = (self.network.embed(numbers) * known.unsqueeze(-1)).sum(1)
        for c in range(len(self.columns)):
            column = slice(c, c + 1)
            state = self.network.states(given.unsqueeze(1), context, column).squeeze(1)
            picked = pick(c, full_precision(self.network.logits(state, c)))
            numbers[:, c] = torch.where(known[:, c], numbers[:, c], picked)
            given = given + self.network.embed(numbers[:, column], column).squeeze(1) * ~known[:, column]
        return numbers

    def sample_given(self, value: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Draws from p(x | known values) by the network itself, and log p of the known values.

        A cell that is known not to be missing, but whose value is unknown, gets a value.

        Args:
            value: `[..., *event_shape]`.
            known: True where `value` is to be kept, in the same shape.

        Returns:
            Draws `[..., *event_shape]` and log-probabilities `[...]`, in nats.
        """
        n = self.batch_shape.numel()
        x, kept = (each.expand(self._extended_shape()).reshape(n, *self.event_shape) for each in (value, known))
        valued = self._per_column(lambda column, cell: cell[..., 0], kept)
        present = self._per_column(lambda column, cell: cell[..., -1], kept)

        def pick(c: int, logits: Tensor) -> Tensor:
            column = self.columns[c]
            if column.nullable:
                last = torch.arange(column.size, device=x.device) == column.values
                logits = logits.masked_fill(last & (present[:, c] & ~valued[:, c]).unsqueeze(-1), -torch.inf)
            return Categorical(logits=logits, validate_args=False).sample()

        with torch.no_grad():
            missing = self._per_column(lambda column, cell: column.missing(cell), x)
            whole = self._known(x, kept) & (valued | ~missing)
            drawn = self.values(self._complete(self.numbers(x), whole, pick))
        return torch.where(kept, x, drawn).reshape(self._extended_shape()), self.log_prob_observed(value, known)

    def impute(self, value: Tensor, observed: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        indicators = torch.cat([torch.arange(w) == c.width for c, w in zip(self.columns, self.widths, strict=True)])
        x, _ = self.sample_given(value, observed | indicators.to(observed.device))
        log_p = self.log_prob_observed(value, observed)
        return x, log_p, self.log_prob_observed(value, observed | hidden) - log_p

    def code(self, alphabet: Any) -> Code:
        raise NotImplementedError("numbers of a table are not discrete")

    @property
    def mean(self) -> Tensor:
        """The mean of each number given a draw of the earlier cells: an unbiased estimate, except of counts.

        Counts are log(1 + the mean of n). The mean of a value is that of cells that are not missing.
        """
        x = self.sample()
        logits = self.logits(x, torch.ones_like(x, dtype=torch.bool))
        return torch.cat([column.mean(each) for column, each in zip(self.columns, logits, strict=True)], -1)

    @property
    def mode(self) -> Tensor:
        """The most probable symbol of each column given those of the columns before it, at the middle of its bin."""
        numbers = self.sample_sequentially(self.batch_shape.numel(), lambda c, logits: logits.argmax(1))
        return self._at(numbers, torch.full(numbers.shape, 0.5).to(self.context)).reshape(self._extended_shape())
