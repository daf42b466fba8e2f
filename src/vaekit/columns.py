"""One column of a table: what its cells may be, and the numbers that stand for them.

A cell is the text that the file holds, stripped, or None where it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vaekit.refusal import Refusal
from vaekit.written import Date, Form, Number, form_of

KINDS = ("real", "positive", "date", "count", "binary", "ordinal", "categorical")
GROUPS = ("numeric", "count", "binary", "one_hot")
QUANTILES = 200
END = 3.5  # the normal quantile that the smallest and largest training value stand at
Z = np.clip(torch.special.ndtri(torch.linspace(0, 1, QUANTILES, dtype=torch.float64)).numpy(), -END, END)


class WrongCell(Refusal):
    """A cell that its column cannot hold; `row` counts from 0."""

    def __init__(self, row: int, column: str, why: str):
        super().__init__(f"Row {row + 1}, column {column!r}: {why}")
        self.row = row


@dataclass(frozen=True)
class Column:
    """kind: `real`, `positive` and `date` are one number, the normal quantile of the cell's rank among those the file
    holds (of `positive` by its logarithm, a date by its seconds), so that several modes become one bell. `count` is
    log(1 + n). `binary` is 0 or 1. `ordinal` (numbers in order) and `categorical` are one-hot.

    categories: the cells there may be, of the last three. quantiles: `QUANTILES` values at evenly spaced probabilities,
    of the first three. form: how the numbers or dates of the other kinds are written; None for whole numbers.
    Raises `TypeError` or `ValueError` for what makes no column.
    """

    name: str
    kind: str
    categories: Sequence[str] = ()
    quantiles: Sequence[float] = ()
    form: Form | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))  # a run's configuration holds lists
        object.__setattr__(self, "quantiles", tuple(map(float, self.quantiles)))
        if self.form is not None or not self.categories:
            object.__setattr__(self, "form", Number() if self.form is None else form_of(self.form))
        texts = (self.name, *self.categories)
        if self.kind not in KINDS or not all(isinstance(each, str) for each in texts):
            raise ValueError(f"no column: {self.name!r}, {self.kind!r}")
        whole = len(self.quantiles) == (QUANTILES if self.group == "numeric" else 0)
        ordered = np.isfinite(self.quantiles).all() and (np.diff(self.quantiles) >= 0).all()
        least, most = {"binary": (2, 2), "ordinal": (1, math.inf), "categorical": (1, math.inf)}.get(self.kind, (0, 0))
        named = least <= len(self.categories) <= most and len(set(self.categories)) == len(self.categories)
        formed = isinstance(self.form, {"date": Date}.get(self.kind, Number)) != bool(self.categories)
        if not (whole and ordered and named and formed):
            raise ValueError(f"the {self.kind} column {self.name!r} is not whole")

    @property
    def group(self) -> str:
        """Which of `GROUPS` its numbers are."""
        alike = {"count": "count", "binary": "binary", "ordinal": "one_hot", "categorical": "one_hot"}
        return alike.get(self.kind, "numeric")

    @property
    def width(self) -> int:
        """How many numbers stand for a cell."""
        return len(self.categories) if self.group == "one_hot" else 1

    def encode(self, cells: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of n cells `[n, width]`, 0 where they are missing, and which are there `[n]`.

        Raises `Refusal`, with the number of the row, for a cell that this column cannot hold.
        """
        there = np.array([cell is not None for cell in cells], dtype=bool)
        if self.categories:
            codes = self.places(cells)
            x = np.eye(self.width)[codes] if self.kind != "binary" else codes[:, None].astype(float)
        else:
            assert self.form is not None
            values = numbers(cells, self.name, self.kind, self.form)
            if self.kind == "count" and ((values < 0) | (values != np.floor(values)))[there].any():
                row = int((there & ((values < 0) | (values != np.floor(values)))).argmax())
                why = f"{cells[row]!r} is no count (0, 1, 2, ...); use {typed(self.name, 'real')}."
                raise WrongCell(row, self.name, why)
            x = (np.log1p(values) if self.kind == "count" else self._ranked(values))[:, None]
        return np.where(there[:, None], x, 0).astype(np.float32), there

    def places(self, cells: Sequence[str | None]) -> np.ndarray:
        """Of n cells the places among the categories `[n]`, -1 where they are missing. Raises as `encode`."""
        number = {None: -1} | {category: i for i, category in enumerate(self.categories)}
        if (unseen := next((row for row, cell in enumerate(cells) if cell not in number), None)) is not None:
            known = ", ".join(self.categories[:8]) + (", ..." if len(self.categories) > 8 else "")
            raise WrongCell(
                unseen,
                self.name,
                f"{cells[unseen]!r} was not seen in training, expected one of {known}; leave the cell empty.",
            )
        return np.array([number[cell] for cell in cells], dtype=np.int64)

    def _ranked(self, values: np.ndarray) -> np.ndarray:
        """Normal quantiles of values; beyond those seen straight on, up to three times as far."""
        seen = np.array(self.quantiles)
        span = seen[-1] - seen[0] or 1.0
        grid = np.concatenate([[-3 * END], Z, [3 * END]])
        seen = np.concatenate([[seen[0] - span], seen, [seen[-1] + span]])
        below, above = -np.interp(-values, -seen[::-1], -grid[::-1]), np.interp(values, seen, grid)
        # a value that fills several quantiles stands at the middle of their probabilities
        middle = (torch.special.ndtr(torch.from_numpy(below)) + torch.special.ndtr(torch.from_numpy(above))) / 2
        return np.where(np.abs(above - below) < 1e-9, above, torch.special.ndtri(middle).numpy())

    def decode(self, x: np.ndarray) -> list[str]:
        """The cells of numbers `[n, width]`: the nearest, of probabilities the likeliest, of ordinal ones the median.

        No number lies beyond those seen in training.
        """
        if self.kind == "ordinal":
            middle = x.cumsum(1) >= 0.5 * x.sum(1, keepdims=True)
            return [self.categories[i] for i in middle.argmax(1)]
        if self.categories:
            return [
                self.categories[i]
                for i in (x.argmax(1) if self.kind == "categorical" else (x[:, 0] >= 0.5).astype(int))
            ]
        values = x[:, 0].astype(np.float64)
        values = np.rint(np.expm1(values)).clip(0) if self.kind == "count" else np.interp(values, Z, self.quantiles)
        assert self.form is not None
        return self.form.write(np.exp(values) if self.kind == "positive" else values)


def typed(name: str, kind: str) -> str:
    """What to type for a column to be of another kind, or to be left out."""
    return f"'data.types={{{name}:{kind}}}'"


def numbers(cells: Sequence[str | None], name: str, kind: str, form: Form) -> np.ndarray:
    """A number for each cell, `[n]` in double precision, NaN where it is missing: its logarithm where the column is
    positive, the seconds since 1970 where it is of dates. Raises `Refusal`, with the row, for what is none.
    """
    values, there = form.parse(cells), np.array([cell is not None for cell in cells], dtype=bool)
    if (wrong := there & (np.isnan(values) | (values <= 0 if kind == "positive" else False))).any():
        row = int(wrong.argmax())
        expected = "a number above 0" if kind == "positive" else f"a {form.noun} like {form.example}"
        hint = f"correct it, or use {typed(name, 'categorical')}."
        raise WrongCell(row, name, f"got {cells[row]!r}, expected {expected}; {hint}")
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise WrongCell(row, name, f"got {cells[row]!r}, expected a finite number; leave the cell empty.")
    return np.log(values) if kind == "positive" else values


def quantiles(values: np.ndarray) -> list[float]:
    """What `Column` keeps of the values `[n]` of a column, NaN left out."""
    return np.nanquantile(values, np.linspace(0, 1, QUANTILES)).tolist()
