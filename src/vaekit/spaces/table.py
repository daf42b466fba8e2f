"""Rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.spaces.column import GROUPS, Column
from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Table(Space):
    """Rows of a table as numbers: numeric columns, counts, binary columns, then a one-hot block for each other column.

    A missing cell is 0, except for the last number of a nullable column, which is 1 where it is missing and is always
    observed.

    Args:
        shape: (numbers,).
        columns: The columns in the order of the file, without that of the label.
        label: The column of the label, which is not part of x; its categories are the classes.
        place: The label's position among the columns of the file, from 0.
        separator: The character between cells of the file.
        header: The names of all columns of a file without a header line.

    Raises:
        ValueError: If the fields contradict each other.

    Example:
        >>> from vaekit.spaces import Table
        >>> from vaekit.spaces.column import Column
        >>> table = Table.of([Column("n", "count", largest=9), Column("color", "categorical", ["blue", "red"])])
        >>> table.encode([["0", "0"], ["red", "blue"]])[0].tolist()
        [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """

    columns: Sequence[Column] = ()
    label: Column | None = None
    place: int = 0
    separator: str = ","
    header: Sequence[str] = ()

    def __post_init__(self) -> None:
        columns = (each if isinstance(each, Column) else Column(**each) for each in self.columns)
        object.__setattr__(self, "columns", tuple(columns))
        object.__setattr__(self, "header", tuple(map(str, self.header)))
        if isinstance(self.label, Mapping):
            object.__setattr__(self, "label", Column(**self.label))
        if self.label is not None and not (self.label.categories and 0 <= self.place <= len(self.columns)):
            raise ValueError(f"not a column of labels: {self.label.name!r}, {self.label.kind!r}, at {self.place}")
        if not isinstance(self.separator, str) or len(self.separator) != 1:
            raise ValueError(f"separator {self.separator!r}")
        if self.shape != (sum(column.width for column in self.columns),) or self.shape == (0,):
            raise ValueError(f"columns of {sum(column.width for column in self.columns)} numbers, shape {self.shape}")

    @classmethod
    def of(
        cls, columns: Sequence[Column], label: str | None = None, separator: str = ",", header: Sequence[str] = ()
    ) -> Table:
        """The space of rows of these columns; the column called `label` is not part of x."""
        rest = [column for column in columns if column.name != label]
        place = next((i for i, column in enumerate(columns) if column.name == label), 0)
        shape = (sum(column.width for column in rest),)
        return cls(shape, rest, None if label is None else columns[place], place, separator, header)

    @property
    def description(self) -> str:
        return f"Table of {len(self.columns)} columns, {self.size} numbers"

    @property
    def values(self) -> str:
        return "table"

    @property
    def incomplete(self) -> bool:
        return any(column.nullable for column in self.columns)

    @property
    def in_file(self) -> list[Column]:
        """The columns of the file in its order, with that of the label."""
        label = [] if self.label is None else [self.label]
        return [*self.columns[: self.place], *label, *self.columns[self.place :]]

    @property
    def names(self) -> list[str]:
        """The names of the columns of the file, in its order."""
        return [column.name for column in self.in_file]

    @property
    def classes(self) -> dict[str, int]:
        """The class number of each label; empty without a label."""
        return {} if self.label is None else {name: label for label, name in enumerate(self.label.categories)}

    @cached_property
    def ordered(self) -> list[Column]:
        """The columns that have numbers, in the order of their numbers."""
        return sorted(
            (column for column in self.columns if column.width), key=lambda column: GROUPS.index(column.group)
        )

    @cached_property
    def sizes(self) -> list[int]:
        """The numbers of numeric, count and binary values, the width of each one-hot block, and the number of
        indicators.
        """
        groups = [column.group for column in self.ordered]
        single = [groups.count(group) for group in GROUPS[:-1]]
        blocks = [column.width - column.nullable for column in self.ordered[sum(single) :]]
        return [*single, *blocks, int(self.indicators.sum())]

    @cached_property
    def order(self) -> Tensor:
        """The positions of the numbers in the order of `sizes`."""
        return self.indicators.int().argsort(stable=True)

    @cached_property
    def indicators(self) -> Tensor:
        return torch.tensor([i == c.width - 1 and c.nullable for c in self.ordered for i in range(c.width)])

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """A cell for each of the columns `ordered`."""
        return (len(self.ordered),)

    def per_value(self, each: Tensor) -> Tensor:
        return each.repeat_interleave(torch.tensor([column.width for column in self.ordered], device=each.device), -1)

    def per_cell(self, each: Tensor) -> Tensor:
        return each[..., [end - column.width for end, column in zip(self._ends, self.ordered, strict=True)]]

    def whole_cells(self, mask: Tensor) -> Tensor:
        return self.per_value(self.per_cell(mask))

    @property
    def _ends(self) -> list[int]:
        return list(accumulate(column.width for column in self.ordered))

    def encode(self, cells: Sequence[Sequence[str | None]]) -> tuple[np.ndarray, np.ndarray]:
        """x and mask `[n, *shape]` of n cells for each column, in the order of the file.

        Raises:
            WrongCell: If a cell is not a number where one is expected.
        """
        parts = {column.name: column.encode(each) for column, each in zip(self.columns, cells, strict=True)}
        x, mask = zip(*(parts[column.name] for column in self.ordered), strict=True)
        return np.concatenate(x, 1), np.concatenate(mask, 1)

    def in_units(self, x: Tensor) -> Tensor:
        """x `[..., *shape]` in units of the file (`Column.values`), so that a mean is a mean of cells."""
        parts = x.cpu().split([column.width for column in self.ordered], -1)
        flat = [c.values(part.reshape(-1, c.width).numpy()) for c, part in zip(self.ordered, parts, strict=True)]
        return torch.from_numpy(np.concatenate(flat, 1)).reshape(x.shape)

    def decode(self, x: Tensor, label: Tensor | None = None) -> list[list[str]]:
        """The cells of x `[n, *shape]`, or of means of such, and of labels `[n]`: a list for each of `names`.

        Labels that are None or -1 leave their cells empty, and so do cells that x says are missing.
        """
        cells = self.write(self.in_units(x), label)
        for end, column in zip(self._ends, self.ordered, strict=True):
            if column.nullable:
                each = cells[self.names.index(column.name)]
                each[:] = ["" if missing else cell for cell, missing in zip(each, x[:, end - 1] >= 0.5, strict=True)]
        return cells

    def write(self, values: Tensor, label: Tensor | None = None) -> list[list[str]]:
        """As `decode`, for values `in_units`; no cell but that of a label is missing."""
        array = values.numpy()
        parts = {c.name: array[:, end - c.width : end] for c, end in zip(self.ordered, self._ends, strict=True)}
        cells = [column.write(parts.get(column.name, array[:, :0])) for column in self.columns]
        if self.label is not None:
            known = [-1] * len(values) if label is None else label.tolist()
            cells.insert(self.place, ["" if i < 0 else self.label.categories[i] for i in known])
        return cells

    def clear_missing(self, x: Tensor) -> Tensor:
        """x `[..., *shape]` with 0 in the cells that it says are missing."""
        ends = [end - 1 for end in self._ends]
        observed = torch.tensor([not column.nullable for column in self.ordered], device=x.device) | (
            x[..., ends] < 0.5
        )
        return x * (self.per_value(observed) | self.indicators.to(x.device))

    def check(self, x: Tensor) -> None:
        super().check(x)
        _, counts, binary, *blocks, missing = x[..., self.order].split(self.sizes, -1)
        one_hot = all(((block == 0) | (block == 1)).all() and (block.sum(-1) <= 1).all() for block in blocks)
        binary = torch.cat([binary, missing], -1)
        n = counts.expm1()
        if not one_hot or not ((binary == 0) | (binary == 1)).all() or not torch.allclose(n, n.round(), rtol=1e-4):
            raise Refusal("Got means of categories or counts, expected rows of the table; draw rows by task.draw=true.")
