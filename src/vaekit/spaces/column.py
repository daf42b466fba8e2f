"""One column of a table: what its cells may be, and the numbers that stand for them.

A cell is the text that the file holds, stripped, or None where it is missing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vaekit import overrides, quantiles
from vaekit.refusal import Refusal
from vaekit.written import Date, Form, Number, form_of

KINDS = ("real", "positive", "date", "count", "binary", "ordinal", "categorical", "identifier")
GROUPS = ("numeric", "count", "binary", "one_hot")
NUMBERED = re.compile("(.*?)([0-9]{1,18})", re.DOTALL)  # what ends in a number
LARGEST = 1000  # count up to which each has a probability of its own
QUANTILES = 200  # evenly spaced ones, of a column that does not say at which normal numbers they stand
Z = torch.special.ndtri(torch.linspace(0, 1, QUANTILES, dtype=torch.float64)).clamp(-3.5, 3.5).tolist()


class WrongCell(Refusal):
    """A cell that its column cannot hold; `row` counts from 0."""

    def __init__(self, row: int, column: str, why: str):
        super().__init__(f"Row {row + 1}, column {column!r}: {why}")
        self.row = row


@dataclass(frozen=True)
class Column:
    """kind: `real`, `positive` and `date` are one number, the normal quantile of the value's rank among those of the
    file (a date is its seconds), so that several modes become one bell (`vaekit.quantiles`). `count` is log(1 + n).
    `binary` is 0 or 1. `ordinal` (numbers in order) and `categorical` are one-hot. Of an `identifier` there is no
    number: it is not modelled.

    categories: the cells there may be, of the three kinds of categories. quantiles: values of the first three kinds.
    normals: the normal numbers at which these stand.
    step: the numbers are the least one plus multiples of it; 0 where they are not. largest: count of the file.
    unseen: the probability that a cell is a category, or a count, which the file does not hold.
    first: the first new cell of an identifier, which ends in a number; the others count on.
    nullable: whether cells are missing: one more number, the last, is 1 where they are.
    form: how the numbers or dates of the other kinds are written; None for whole numbers.
    Raises `TypeError` or `ValueError` for what makes no column.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))  # a run's configuration holds lists
        object.__setattr__(self, "quantiles", tuple(map(float, self.quantiles)))
        normals = Z if len(self.quantiles) == QUANTILES and len(self.normals) == 0 else self.normals
        object.__setattr__(self, "normals", tuple(map(float, normals)))
        if self.form is not None or not self.categories:
            object.__setattr__(self, "form", Number() if self.form is None else form_of(self.form))
        texts = (self.name, self.first, *self.categories)
        if self.kind not in KINDS or not all(isinstance(each, str) for each in texts):
            raise ValueError(f"no column: {self.name!r}, {self.kind!r}")
        whole = len(self.normals) == len(self.quantiles) and (len(self.quantiles) > 1) == (self.group == "numeric")
        ordered = all(np.isfinite(each).all() and (np.diff(each) >= 0).all() for each in (self.quantiles, self.normals))
        least, most = {"binary": (2, 2), "ordinal": (1, math.inf), "categorical": (1, math.inf)}.get(self.kind, (0, 0))
        named = least <= len(self.categories) <= most and len(set(self.categories)) == len(self.categories)
        bounded = 0 <= self.step < math.inf and 0 < self.unseen < 1 and isinstance(self.largest, int)
        whole &= (NUMBERED.fullmatch(self.first) is not None) == (self.kind == "identifier")
        formed = isinstance(self.form, {"date": Date}.get(self.kind, Number)) != bool(self.categories)
        if not (whole and ordered and named and bounded and formed and 0 <= self.largest <= LARGEST):
            raise ValueError(f"the {self.kind} column {self.name!r} is not whole")

    @classmethod
    def measured(cls, name: str, kind: str, values: np.ndarray, form: Form) -> Column:
        """The column of kind real, positive or date that has these values `[n]`, NaN where they are missing."""
        known = values[~np.isnan(values)]
        knots, normals = quantiles.fit(known)
        step = quantiles.step(known)
        nullable = len(known) < len(values)
        return cls(name, kind, (), knots.tolist(), normals.round(6).tolist(), step, nullable=nullable, form=form)

    @classmethod
    def counted(
        cls, name: str, kind: str, cells: Sequence[str | None], categories: Sequence[str] = (), form: Form | None = None
    ) -> Column:
        """The column of another kind that has these cells, and categories or a form.

        `unseen` is the fraction of its cells that are the only ones of their category (Good 1953), plus one of two.
        """
        counts = Counter(cell for cell in cells if cell is not None)
        alone = sum(count == 1 for count in counts.values())
        largest = 0 if form is None else int(np.nanmax(form.parse(cells)))
        unseen, nullable = (alone + 1) / (counts.total() + 2), None in cells
        return cls(name, kind, categories, largest=largest, unseen=unseen, nullable=nullable, form=form)

    @classmethod
    def identifying(cls, name: str, cells: Sequence[str | None]) -> Column:
        """The column of identifiers that has these cells. New ones go on behind the largest number at their ends."""
        known = [cell for cell in cells if cell is not None]
        matches = [NUMBERED.fullmatch(cell) for cell in known]
        if len({match and match[1] for match in matches}) == 1 and matches[0]:
            numbers = [match[2] for match in matches if match]
            following = str(max(map(int, numbers)) + 1).zfill(min(map(len, numbers)))
            return cls(name, "identifier", first=matches[0][1] + following)
        return cls(name, "identifier", first=f"{name}-{len(cells) + 1}")

    @property
    def group(self) -> str:
        """Which of `GROUPS` its numbers are; "identifier" for an identifier, which has no number."""
        alike = {"ordinal": "one_hot", "categorical": "one_hot", "real": "numeric", "positive": "numeric"}
        return (alike | {"date": "numeric"}).get(self.kind, self.kind)

    @property
    def _form(self) -> Form:
        assert self.form is not None, "of columns without categories"
        return self.form

    @property
    def width(self) -> int:
        """How many numbers stand for a cell."""
        if self.kind == "identifier":
            return 0
        return (len(self.categories) if self.group == "one_hot" else 1) + self.nullable

    def encode(self, cells: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of n cells `[n, width]`, 0 where they are missing, but for that which says so, and which of them
        are observed, `[n, width]`.

        A category that the column does not have is one of its own: 0 in all numbers of a block, .5 in a binary one.
        Values beyond those of the file lie further out. Raises `WrongCell` for text where a number is expected.
        """
        observed = np.array([cell is not None for cell in cells], dtype=bool)
        if not self.width:
            return np.zeros((len(cells), 0), dtype=np.float32), np.zeros((len(cells), 0), dtype=bool)
        if self.categories:
            codes = self.codes(cells)
            hot = codes[:, None] == np.arange(len(self.categories))
            x = np.where(codes < 0, 0.5, codes)[:, None] if self.kind == "binary" else hot.astype(float)
        else:
            values = numbers(cells, self.name, self._form)
            if self.kind == "count":
                x = (np.sign(values) * np.log1p(np.abs(values)))[:, None]
            else:
                x = quantiles.to_normal(values, np.array(self.quantiles), np.array(self.normals))[:, None]
        x, mask = np.where(observed[:, None], x, 0), observed[:, None].repeat(x.shape[1], 1)
        if self.nullable:
            x, mask = np.column_stack([x, ~observed]), np.column_stack([mask, np.ones_like(observed)])
        return x.astype(np.float32), mask

    def codes(self, cells: Sequence[str | None]) -> np.ndarray:
        """The index of each of n cells among the categories `[n]`, -1 for missing and for unknown ones."""
        number = {category: i for i, category in enumerate(self.categories)}
        return np.array([-1 if cell is None else number.get(cell, -1) for cell in cells], dtype=np.int64)

    def unusual(self, cells: Sequence[str | None]) -> np.ndarray:
        """Which of n cells are categories that the file lacks, or values beyond its own, `[n]`."""
        if not self.width:
            return np.zeros(len(cells), dtype=bool)
        if self.categories:
            return np.array([cell is not None for cell in cells]) & (self.codes(cells) < 0)
        values = numbers(cells, self.name, self._form)
        if self.kind == "count":
            return (values < 0) | (values > self.largest) | (values % 1 > 0)
        return (values < self.quantiles[0]) | (values > self.quantiles[-1])

    def check(self, cells: Sequence[str | None]) -> None:
        """Raise `WrongCell` for the first of n cells that is `unusual`."""
        if not (unusual := self.unusual(cells)).any():
            return
        row = int(unusual.argmax())
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
        """The cells of numbers `[n, width]`: the nearest, of probabilities the likeliest, of ordinal ones the median.

        No number lies beyond those of the file. No cell is missing.
        """
        return self.write(self.values(x))

    def values(self, x: np.ndarray) -> np.ndarray:
        """What numbers `[n, width]` stand for, in the unit of the cells, so that the mean of several is one of cells:
        values and counts; of categories the probabilities, as they are. In double precision.
        """
        values = x.astype(np.float64)
        if self.group == "numeric":
            values[:, 0] = np.interp(values[:, 0], self.normals, self.quantiles)
        if self.kind == "count":
            values[:, 0] = np.expm1(values[:, 0])
        return values

    def write(self, values: np.ndarray) -> list[str]:
        """The cells of `values` `[n, width]`, or of means of such; of an identifier new ones."""
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


def typed(name: str, kind: str) -> str:
    """What to type for a column to be of another kind, or to be left out."""
    try:
        return overrides.typed("data.types", {name: kind})
    except ValueError:  # Hydra's grammar has no such names of a mapping; pairs make one as well
        return overrides.typed("data.types", [[name, kind]])


def numbers(cells: Sequence[str | None], name: str, form: Form, otherwise: str = "leave the cell empty") -> np.ndarray:
    """A number for each cell, `[n]` in double precision, NaN where it is missing. Raises `Refusal`, with the row and
    what else to do, for a cell that is not one.
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
