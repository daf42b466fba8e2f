"""Columns of tables: the kind of their cells, and the numbers that represent them.

A cell is the stripped text of the file, or None where it is missing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vaekit import overrides, quantiles
from vaekit.refusal import Refusal
from vaekit.written import Date, Form, Number, form_of

KINDS = ("real", "positive", "date", "count", "binary", "ordinal", "categorical", "identifier")
GROUPS = ("numeric", "count", "binary", "one_hot")
NUMBERED = re.compile("(.*?)([0-9]{1,18})", re.DOTALL)  # text that ends in a number
LARGEST = 1000  # largest count; each count has its own probability
QUANTILES = 200  # number of evenly spaced quantiles of a column without `normals`
Z = torch.special.ndtri(torch.linspace(0, 1, QUANTILES, dtype=torch.float64)).clamp(-3.5, 3.5).tolist()


class WrongCell(Refusal):
    """A cell that its column cannot represent.

    Args:
        row: The row of the cell, from 0.
        column: The name of the column.
        why: The rest of the message.
    """

    def __init__(self, row: int, column: str, why: str):
        super().__init__(f"row {row} (from 0), column {column!r}: {why}")
        self.row, self.column, self.why = row, column, why


@dataclass(frozen=True)
class Column:
    """A column of a table: the kind of its cells, and how cells become numbers.

    `real`, `positive` and `date` cells are one number: the standard normal quantile of the value's rank among the
    values of the file (dates in seconds), which turns several modes into one bell (`vaekit.quantiles`). `count` cells n
    are log(1 + n), `binary` cells 0 or 1; `ordinal` (ordered numbers) and `categorical` cells are one-hot. An
    `identifier` has no number and is not modeled.

    Args:
        name: The name in the file.
        kind: One of `KINDS`.
        categories: The possible cells of `binary`, `ordinal` and `categorical` columns.
        quantiles: Values of `real`, `positive` and `date` columns, in ascending order.
        normals: The standard normal numbers that correspond to `quantiles`.
        step: Values are the least one plus multiples of it; 0 if they are not.
        largest: Largest count of the file.
        unseen: Probability of a category or count that the file does not hold.
        nullable: Whether cells may be missing. If so, one more number, the last, is 1 where a cell is missing.
        first: First new cell of an identifier; it ends in a number, from which the others count up.
        form: How numbers or dates are written; None for integers.
        missing: How a missing cell is written.

    Raises:
        ValueError: If the fields contradict each other.

    Example:
        >>> from vaekit.spaces.column import Column
        >>> color = Column("color", "categorical", categories=["blue", "red"])
        >>> x, observed = color.encode(["red", None])
        >>> x.tolist(), color.decode(x[:1])
        ([[0.0, 1.0], [0.0, 0.0]], ['red'])
    """

    name: str
    kind: str
    categories: Sequence[str] = ()
    quantiles: Sequence[float] = ()
    normals: Sequence[float] = ()
    step: float = 0.0
    largest: int = 999
    unseen: float = 1e-6
    nullable: bool = False
    first: str = ""
    form: Form | None = None
    missing: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))  # a run's configuration holds lists
        object.__setattr__(self, "quantiles", tuple(map(float, self.quantiles)))
        normals = Z if len(self.quantiles) == QUANTILES and len(self.normals) == 0 else self.normals
        object.__setattr__(self, "normals", tuple(map(float, normals)))
        if self.form is not None or not self.categories:
            object.__setattr__(self, "form", Number() if self.form is None else form_of(self.form))
        texts = (self.name, self.first, self.missing, *self.categories)
        if self.kind not in KINDS or not all(isinstance(each, str) for each in texts):
            raise ValueError(f"not a column: {self.name!r}, {self.kind!r}")
        whole = len(self.normals) == len(self.quantiles) and (len(self.quantiles) > 1) == (self.group == "numeric")
        ordered = all(np.isfinite(each).all() and (np.diff(each) >= 0).all() for each in (self.quantiles, self.normals))
        least, most = {"binary": (2, 2), "ordinal": (1, math.inf), "categorical": (1, math.inf)}.get(self.kind, (0, 0))
        named = least <= len(self.categories) <= most and len(set(self.categories)) == len(self.categories)
        bounded = 0 <= self.step < math.inf and 0 < self.unseen < 1 and isinstance(self.largest, int)
        whole &= (NUMBERED.fullmatch(self.first) is not None) == (self.kind == "identifier")
        formed = isinstance(self.form, {"date": Date}.get(self.kind, Number)) != bool(self.categories)
        if not (whole and ordered and named and bounded and formed and 0 <= self.largest <= LARGEST):
            raise ValueError(f"the {self.kind} column {self.name!r} is incomplete")

    @classmethod
    def from_values(cls, name: str, kind: str, values: np.ndarray, form: Form) -> Column:
        """The column of kind real, positive or date with these values `[n]`; NaN where they are missing."""
        known = values[~np.isnan(values)]
        knots, normals = quantiles.fit(known)
        step = quantiles.step(known)
        nullable = len(known) < len(values)
        return cls(name, kind, (), knots.tolist(), normals.round(6).tolist(), step, nullable=nullable, form=form)

    @classmethod
    def from_cells(
        cls, name: str, kind: str, cells: Sequence[str | None], categories: Sequence[str] = (), form: Form | None = None
    ) -> Column:
        """The column of another kind with these cells, and its categories or form.

        `unseen` is the fraction of cells that are the only ones of their category (Good 1953), smoothed: (count + 1) /
        (n + 2).
        """
        counts = Counter(cell for cell in cells if cell is not None)
        singles = sum(count == 1 for count in counts.values())
        largest = 0 if form is None else int(np.nanmax(form.parse(cells)))
        unseen, nullable = (singles + 1) / (counts.total() + 2), None in cells
        return cls(name, kind, categories, largest=largest, unseen=unseen, nullable=nullable, form=form)

    @classmethod
    def from_identifiers(cls, name: str, cells: Sequence[str | None]) -> Column:
        """The column of identifiers with these cells. New ones count up from the largest number at their ends."""
        known = [cell for cell in cells if cell is not None]
        matches = [NUMBERED.fullmatch(cell) for cell in known]
        if len({match and match[1] for match in matches}) == 1 and matches[0]:
            numbers = [match[2] for match in matches if match]
            following = str(max(map(int, numbers)) + 1).zfill(min(map(len, numbers)))
            return cls(name, "identifier", first=matches[0][1] + following)
        return cls(name, "identifier", first=f"{name}-{len(cells) + 1}")

    @property
    def group(self) -> str:
        """One of `GROUPS`, the kinds of numbers; "identifier" for an identifier, which has no number."""
        alike = {"ordinal": "one_hot", "categorical": "one_hot", "real": "numeric", "positive": "numeric"}
        return (alike | {"date": "numeric"}).get(self.kind, self.kind)

    @property
    def _form(self) -> Form:
        assert self.form is not None, "of columns without categories"
        return self.form

    @property
    def width(self) -> int:
        """How many numbers represent a cell."""
        if self.kind == "identifier":
            return 0
        return (len(self.categories) if self.group == "one_hot" else 1) + self.nullable

    def encode(self, cells: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of n cells, `[n, width]`, and which of them are observed, `[n, width]`.

        A missing cell is 0, except for the last number of a nullable column. An unknown category is 0 in all numbers of
        a one-hot block, and .5 in a binary column. Values beyond those of the file are extrapolated.

        Raises:
            WrongCell: If a cell is not a number where one is expected.
        """
        observed = np.array([cell is not None for cell in cells], dtype=bool)
        if not self.width:
            return np.zeros((len(cells), 0), dtype=np.float32), np.zeros((len(cells), 0), dtype=bool)
        if self.categories:
            codes = self.codes(cells)
            hot = codes[:, None] == np.arange(len(self.categories))
            x = np.where(codes < 0, 0.5, codes)[:, None] if self.kind == "binary" else hot.astype(float)
        else:
            values = parse_numbers(cells, self.name, self._form)
            if self.kind == "count":
                x = (np.sign(values) * np.log1p(np.abs(values)))[:, None]
            else:
                x = quantiles.to_normal(values, np.array(self.quantiles), np.array(self.normals))[:, None]
        x, mask = np.where(observed[:, None], x, 0), observed[:, None].repeat(x.shape[1], 1)
        if self.nullable:
            x, mask = np.column_stack([x, ~observed]), np.column_stack([mask, np.ones_like(observed)])
        return x.astype(np.float32), mask

    def codes(self, cells: Sequence[str | None]) -> np.ndarray:
        """The index of each of n cells among the categories, `[n]`; -1 for missing and unknown ones."""
        number = {category: i for i, category in enumerate(self.categories)}
        return np.array([-1 if cell is None else number.get(cell, -1) for cell in cells], dtype=np.int64)

    def novel(self, cells: Sequence[str | None]) -> np.ndarray:
        """Which of n cells are categories that the file does not hold, or values beyond its own, `[n]`."""
        if not self.width:
            return np.zeros(len(cells), dtype=bool)
        if self.categories:
            return np.array([cell is not None for cell in cells]) & (self.codes(cells) < 0)
        values = parse_numbers(cells, self.name, self._form)
        if self.kind == "count":
            return (values < 0) | (values > self.largest) | (values % 1 > 0)
        return (values < self.quantiles[0]) | (values > self.quantiles[-1])

    def check(self, cells: Sequence[str | None]) -> None:
        """Raise `WrongCell` for the first of n cells that is `novel`."""
        if not (novel := self.novel(cells)).any():
            return
        row = int(novel.argmax())
        if self.categories:
            known = ", ".join(self.categories[:8]) + (", ..." if len(self.categories) > 8 else "")
            why = f"was not seen in training, expected one of {known}; leave the cell empty."
        else:
            ends = np.array(
                [[0], [self.largest]] if self.kind == "count" else [self.quantiles[:1], self.quantiles[-1:]]
            )
            least, most = self.write(ends)
            why = f"was not seen in training, expected {least} to {most}."
        raise WrongCell(row, self.name, f"{cells[row]!r} {why}")

    def decode(self, x: np.ndarray) -> list[str]:
        """The cells of numbers `[n, width]`: the nearest value, the most probable category, the median of ordinal
        probabilities.

        No value lies beyond those of the file, and no cell is missing.
        """
        return self.write(self.values(x))

    def values(self, x: np.ndarray) -> np.ndarray:
        """Numbers `[n, width]` in units of the cells, in double precision, so that their mean is a mean of cells.

        Categories keep their probabilities.
        """
        values = x.astype(np.float64)
        if self.group == "numeric":
            values[:, 0] = np.interp(values[:, 0], self.normals, self.quantiles)
        if self.kind == "count":
            values[:, 0] = np.expm1(values[:, 0])
        return values

    def write(self, values: np.ndarray) -> list[str]:
        """The cells of `values` `[n, width]`, or of means of such; for an identifier new ones."""
        if match := NUMBERED.fullmatch(self.first):
            prefix, number = match.groups()
            return [f"{prefix}{int(number) + i:0{len(number)}d}" for i in range(len(values))]
        values = values[:, : self.width - self.nullable]
        if self.kind == "ordinal":
            middle = values.cumsum(1) >= 0.5 * values.sum(1, keepdims=True)
            return [self.categories[i] for i in middle.argmax(1)]
        if self.categories:
            codes = values.argmax(1) if self.kind == "categorical" else (values[:, 0] >= 0.5).astype(int)
            return [self.categories[i] for i in codes]
        if self.kind == "count":
            return self._form.write(np.rint(values[:, 0]).clip(0, self.largest))
        values = values[:, 0].clip(self.quantiles[0], self.quantiles[-1])
        if self.step:
            values = self.quantiles[0] + np.rint((values - self.quantiles[0]) / self.step) * self.step
        return self._form.write(values)


def kind_override(name: str, kind: str) -> str:
    """What to type to change the kind of a column, or to leave it out.

    Args:
        name: The column.
        kind: The kind: one of `KINDS`, or `ignore`.
    """
    return kinds_override({name: kind})


def kinds_override(kinds: Mapping[str, str]) -> str:
    """What to type to change the kinds of several columns.

    Args:
        kinds: The kind of each column, as in `kind_override`.
    """
    try:
        return overrides.typed("data.types", kinds)
    except ValueError:  # the grammar of Hydra does not allow such a name in a mapping; a list of pairs does
        return overrides.typed("data.types", [list(pair) for pair in kinds.items()])


def parse_numbers(
    cells: Sequence[str | None], name: str, form: Form, otherwise: str = "leave the cell empty"
) -> np.ndarray:
    """The number of each cell, in double precision; NaN where it is missing.

    Args:
        cells: The n cells of a column.
        name: The column, for messages.
        form: How its numbers are written.
        otherwise: What the message suggests in place of correcting the cell.

    Returns:
        `[n]`.

    Raises:
        WrongCell: If a cell is not a finite number.

    Example:
        >>> from vaekit.spaces.column import parse_numbers
        >>> from vaekit.written import Number
        >>> parse_numbers(["3", None], "age", Number())
        array([ 3., nan])
    """
    values, observed = form.parse(cells), np.array([cell is not None for cell in cells], dtype=bool)
    if (wrong := observed & np.isnan(values)).any():
        row = int(wrong.argmax())
        expected = f"a {form.noun} like {form.example}"
        raise WrongCell(row, name, f"got {cells[row]!r}, expected {expected}; correct it, or {otherwise}.")
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise WrongCell(row, name, f"got {cells[row]!r}, expected a finite number; leave the cell empty.")
    return values
