"""Rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from vaekit.columns import GROUPS, Column
from vaekit.refusal import Refusal
from vaekit.spaces.real import Real


@dataclass(frozen=True)
class Table(Real):
    """Rows of a table, shape (numbers,): numeric columns, counts, binary ones, then a one-hot block for each other.

    columns: in the file's order (`Column` says what its numbers are). A missing cell is 0 everywhere.
    label: one more column of the file, in front of number `place` of the others; its categories are the classes.
    """

    columns: Sequence[Column] = ()
    label: Column | None = None
    place: int = 0

    def __post_init__(self) -> None:
        columns = (each if isinstance(each, Column) else Column(**each) for each in self.columns)
        object.__setattr__(self, "columns", tuple(columns))
        if isinstance(self.label, Mapping):
            object.__setattr__(self, "label", Column(**self.label))
        if self.label is not None and not (self.label.categories and 0 <= self.place <= len(self.columns)):
            raise ValueError(f"no column of labels: {self.label.name!r}, {self.label.kind!r}, at {self.place}")
        if self.shape != (sum(column.width for column in self.columns),) or self.shape == (0,):
            raise ValueError(f"columns of {sum(column.width for column in self.columns)} numbers, shape {self.shape}")

    @classmethod
    def of(cls, columns: Sequence[Column], label: str | None = None) -> Table:
        """The space of rows of these columns, in which the one of this name is no part of x."""
        rest = [column for column in columns if column.name != label]
        place = next((i for i, column in enumerate(columns) if column.name == label), 0)
        return cls((sum(column.width for column in rest),), rest, None if label is None else columns[place], place)

    @property
    def values(self) -> str:
        return "table"

    @property
    def names(self) -> list[str]:
        """Those of the file's columns, in its order."""
        names = [column.name for column in self.columns]
        return names if self.label is None else [*names[: self.place], self.label.name, *names[self.place :]]

    @property
    def classes(self) -> dict[str, int]:
        """The label's number of each class; none without a label."""
        return {} if self.label is None else {name: label for label, name in enumerate(self.label.categories)}

    @cached_property
    def ordered(self) -> list[Column]:
        """The columns in the order of their numbers."""
        return sorted(self.columns, key=lambda column: GROUPS.index(column.group))

    @cached_property
    def sizes(self) -> list[int]:
        """How many numeric, count and binary values there are, and the width of each block behind them."""
        groups = [column.group for column in self.ordered]
        alone = [groups.count(group) for group in GROUPS[:-1]]
        return [*alone, *(column.width for column in self.ordered[sum(alone) :])]

    @property
    def places(self) -> tuple[int, ...]:
        """`ordered`."""
        return (len(self.columns),)

    def spread(self, each: Tensor) -> Tensor:
        return each.repeat_interleave(torch.tensor([column.width for column in self.ordered]), -1)

    def encode(self, cells: Sequence[Sequence[str | None]]) -> tuple[np.ndarray, np.ndarray]:
        """x and mask `[n, *shape]` of n cells a column, in the file's order. Raises `Refusal` as `Column.encode`."""
        parts = {column.name: column.encode(each) for column, each in zip(self.columns, cells, strict=True)}
        x, mask = zip(*(parts[column.name] for column in self.ordered), strict=True)
        widths = [column.width for column in self.ordered]
        return np.concatenate(x, 1), np.stack(mask, 1).repeat(widths, 1)

    def decode(self, x: Tensor, label: Tensor | None = None) -> list[list[str]]:
        """The cells of x `[n, *shape]` or of means of such, and of labels `[n]`, a list for each of `names`.

        Labels that are not known, or -1, leave their cells empty.
        """
        ends = list(accumulate(column.width for column in self.ordered))
        values = {c.name: x[:, end - c.width : end].cpu().numpy() for c, end in zip(self.ordered, ends, strict=True)}
        cells = [column.decode(values[column.name]) for column in self.columns]
        if self.label is not None:
            known = [-1] * len(x) if label is None else label.tolist()
            cells.insert(self.place, ["" if i < 0 else self.label.categories[i] for i in known])
        return cells

    def check(self, x: Tensor) -> None:
        super().check(x)
        _, counts, binary, *blocks = x.split(self.sizes, -1)
        one_hot = all(((block == 0) | (block == 1)).all() and (block.sum(-1) <= 1).all() for block in blocks)
        n = counts.expm1()
        if not one_hot or not ((binary == 0) | (binary == 1)).all() or not torch.allclose(n, n.round(), rtol=1e-4):
            raise Refusal("Got means of categories or counts, expected rows of the table; draw some by task.draw=true.")
