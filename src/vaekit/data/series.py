"""Series of numbers side by side in a file, cut into windows."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaekit.data.cells import Cells, read
from vaekit.data.source import Rows, Split
from vaekit.data.table import NEARLY
from vaekit.refusal import Refusal
from vaekit.spaces import Series as Space
from vaekit.written import Date, Form, Number, doubtful, nearly, readings

log = logging.getLogger(__name__)

VALUES = ("returns", "levels")
WIDE = "wide.csv"


class Table(NamedTuple):
    """times: of each row, the file's own words or its number. values: `[series, rows]`, NaN where they are missing."""

    times: list[str]
    names: list[str]
    values: np.ndarray


class Windows:
    """Windows `[B, series, window]` of series `[series, T]`, from `starts` `[N]` on, made when they are asked for."""

    def __init__(self, series: Tensor, starts: np.ndarray, window: int):
        self.series, self.starts, self.steps = series, torch.from_numpy(starts), torch.arange(window)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.series[:, self.starts[rows, None] + self.steps].transpose(0, 1)


class Series:
    """The columns of numbers of a .csv or .parquet file, a row a step in time, in windows.

    Split by time: the last steps are the test, those before them the validation, and no window reaches over an edge.
    Mean and deviation, by which each series is standardised, are those of the steps before the validation.

    window: steps. stride: from the start of one window to that of the next. values: returns (log-returns, of prices) or
    levels. columns: names of the series; None for all columns of numbers, but of open, high, low and close the close.
    time: the column that says when; None for the first one of dates. validation, test: number (int) or fraction (float)
    of the steps.
    Empty cells, `?`, `NA` and `NaN` are missing: the mask is 0 there, and in the two returns beside a missing price.
    Raises `Refusal`, naming file, row and column, for what cannot be read.
    """

    def __init__(
        self,
        path: str | Path | None,
        window: int = 30,
        stride: int = 1,
        values: str = "returns",
        columns: Sequence[str] | None = None,
        time: str | None = None,
        validation: int | float = 0.1,
        test: int | float = 0.2,
    ):
        if path is None:
            raise Refusal("data.path is not set; name a .csv or .parquet file, for example data.path=prices.csv.")
        if values not in VALUES:
            raise Refusal(f"Got data.values={values}, expected returns or levels; use data.values=returns.")
        if window < 2 or stride < 1:
            raise Refusal(
                f"Got data.window={window} data.stride={stride}, expected a window of at least 2 steps and a stride "
                "of at least 1; use data.window=30 data.stride=1."
            )
        self.path, self.window, self.stride, self.values = Path(path).expanduser(), window, stride, values
        self.columns, self.time, self.validation, self.test = columns, time, validation, test
        self.name = self.path.stem

    @cached_property
    def table(self) -> Table:
        return read_series(self.path, self.values == "returns", self.columns, self.time)

    @cached_property
    def space(self) -> Space:
        _, names, values = self.table
        training = values[:, : self._edges[0]]
        if (there := (~np.isnan(training)).sum(1)).min() < 2:
            raise Refusal(
                f"{self.path}: column {names[there.argmin()]!r} has no two values before the validation begins, at row "
                f"{self._edges[0] + 1}; leave it out, by data.columns=[a,b]."
            )
        mean, deviation = np.nanmean(training, 1), np.nanstd(training, 1)
        if deviation.min() < 1e-12 * (1 + np.abs(mean).max()):
            raise Refusal(
                f"{self.path}: column {names[deviation.argmin()]!r} never changes before the validation begins, at row "
                f"{self._edges[0] + 1}; leave it out, by data.columns=[a,b]."
            )
        shape = (len(names), self.window)
        return Space(shape, names, mean.tolist(), deviation.tolist(), self.values == "returns")

    @property
    def _edges(self) -> tuple[int, int, int]:
        """Where the steps of training, validation and test end."""
        steps = self.table.values.shape[1]
        test, validation = (
            each if isinstance(each, int) else round(each * steps) for each in (self.test, self.validation)
        )
        edges = (steps - test - validation, steps - test, steps)
        for name, count in zip(("training", "validation", "test"), np.diff((0, *edges)), strict=True):
            if count < self.window:
                raise Refusal(
                    f"{self.path} has {steps} {self.values}, of which the {name} gets {count}: fewer than "
                    f"data.window={self.window}; use a shorter window, such as data.window={max(2, steps // 20)}, a "
                    "longer file, or other shares, data.validation=0.2 data.test=0.2."
                )
        return edges

    def load(self, split: Split) -> Rows:
        series = self.space.standardise(self.table.values)
        there, x = ~np.isnan(series), torch.from_numpy(np.nan_to_num(series).astype(np.float32))
        first, second, last = self._edges
        parts = [(0, first), (first, second)] if split == "train" else [(second, last)]
        starts = [np.arange(low, high - self.window + 1, self.stride) for low, high in parts]
        begin = np.concatenate(starts)
        mask = None if there.all() else Windows(torch.from_numpy(there), begin, self.window)[torch.arange(len(begin))]
        return Rows(
            Windows(x, begin, self.window),
            mask=None if mask is None else mask.numpy(),
            validation=len(starts[-1]) if split == "train" else None,
        )


def read_series(
    path: str | Path, returns: bool, columns: Sequence[str] | None = None, time: str | None = None
) -> Table:
    """The series of a file, and their log-returns if `returns`, of a row to the next. Raises `Refusal` as `Series`."""
    path = Path(path).expanduser()
    cells = read(path)
    for name in (*(columns or ()), *([time] if time else ())):
        if name not in cells:
            raise Refusal(f"{path} has no column {name!r}; it has {', '.join(cells)}.")
    forms = {name: form_of(name, column) for name, column in cells.items()}
    if time is None:
        time = next((name for name, form in forms.items() if isinstance(form, Date)), None)
    if time is None:
        times = [str(row) for row in range(1, 1 + cells.count)]
        log.warning("%s: no column of dates; its rows are taken in the order of the file. Try data.time=COLUMN.", path)
    else:
        times = in_order(path, time, cells, forms)
    asked = [name for name in columns or cells if name != time]
    numbers = {name: to_numbers(path, name, cells[name], forms[name], columns is not None) for name in asked}
    series = {name: column for name, column in numbers.items() if column is not None}
    if not series:
        raise Refusal(f"{path} has no column of numbers; its columns are {', '.join(cells)}. Name another file.")
    if empty := [name for name in asked if not any(cells[name])]:
        raise Refusal(
            f"{path}: every cell of column {empty[0]!r} is missing; leave it out, by "
            f"data.columns=[{','.join(name for name in series if name not in empty)}]."
        )
    if columns is None:
        series = chosen(path, series)
    values = np.stack(list(series.values()))
    if returns and (values <= 0).any():
        name, row = next((name, int((column <= 0).argmax())) for name, column in series.items() if (column <= 0).any())
        raise Refusal(
            f"{path}, row {row + 1}, column {name!r}: got the price {series[name][row]:g}, which has no "
            "log-return; correct it, use data.values=levels, or choose others by data.columns=[a,b]."
        )
    if time is not None and times[0] != cells[time][0]:
        values = values[:, ::-1]
    return Table(times[1:], list(series), np.diff(np.log(values))) if returns else Table(times, list(series), values)


def chosen(path: Path, series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The series that are meant where none are named: all; of the open, high, low and close of one price the close."""
    bars = {name.casefold(): name for name in series}
    if bars.keys() >= {"open", "high", "low", "close"}:
        series = {bars["close"]: series[bars["close"]]}
    if len(series) < len(bars) or len(series) > 1:
        names = ", ".join(map(repr, series))
        log.warning("%s: the series are %s, of %d columns of numbers. Try data.columns=[...].", path, names, len(bars))
    return series


def form_of(name: str, cells: Sequence[str | None]) -> Form | None:
    """How the dates or numbers of a column are written, or nearly all of them; None where it has neither."""
    distinct = [*dict.fromkeys(cell for cell in cells if cell is not None)]
    if not distinct:
        return None
    forms = readings(distinct)
    if doubt := doubtful(distinct, forms):
        log.warning("Column %r: %s.", name, doubt)
    return forms[0] if forms else nearly(distinct, NEARLY)


def to_numbers(
    path: Path, name: str, cells: Sequence[str | None], form: Form | None, required: bool
) -> np.ndarray | None:
    """The numbers of a column, NaN where missing; None for one that has none and is not `required`."""
    if not isinstance(form, Number) and not required:
        return None
    values = (form if isinstance(form, Number) else Number()).parse(cells)
    there = np.array([cell is not None for cell in cells])
    if (wrong := there & ~np.isfinite(values)).any() or not there.any():
        row = int(wrong.argmax())
        got, expected = (cells[row], "a finite number") if np.isinf(values[row]) else (repr(cells[row]), "a number")
        raise Refusal(
            f"{path}, row {row + 1}, column {name!r}: got {got}, expected {expected}; correct it, leave the cell "
            "empty, or choose other columns by data.columns=[a,b]."
        )
    return values


def in_order(path: Path, name: str, cells: Cells, forms: Mapping[str, Form | None]) -> list[str]:
    """The cells of a column of times, dates or numbers, the earliest first.

    Raises `Refusal` unless the rows are in the order of time, or of time backwards.
    """
    times, form = cells[name], forms[name]
    values = np.full(len(times), np.nan) if form is None else form.parse(times)
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        raise Refusal(
            f"{path}, row {row + 1}, column {name!r}: got {times[row]!r}, expected a date like 2024-12-31, or a "
            "number, as in the other rows; correct it."
        )
    steps = np.diff(values)
    if len(steps) and (steps < 0).all():
        log.warning("%s: column %r has the newest row first; rows are taken in the order of time.", path, name)
        return [str(time) for time in reversed(times)]
    if (steps <= 0).any():
        refuse_stacked(path, name, cells, forms)
        row = int((steps <= 0).argmax()) + 1
        raise Refusal(
            f"{path}, row {row + 1}, column {name!r}: {times[row]} comes after {times[row - 1]}, expected a later time "
            "in each row; sort the file by time, and drop what is there twice."
        )
    return [str(time) for time in times]


def refuse_stacked(path: Path, time: str, cells: Cells, forms: Mapping[str, Form | None]) -> None:
    """Raise `Refusal` for series that stand one under another, where another column tells them apart."""
    for name, column in cells.items():
        several = 2 * len(set(column)) <= cells.count and len({*zip(column, cells[time], strict=True)}) == cells.count
        value = next(
            (each for each, form in forms.items() if isinstance(form, Number) and each not in (name, time)), ""
        )
        if several and value and name != time:
            on, using, group = (f'"{each}"' for each in (name, value, time))
            sql = f"PIVOT '{path}' ON {on} USING first({using}) GROUP BY {group} ORDER BY {group}"
            raise Refusal(
                f"{path} has {len(set(column))} series one under another, by column {name!r}, expected them side by "
                f"side. Try python -c {shlex.quote(f'import duckdb; duckdb.sql({sql!r}).write_csv({WIDE!r})')} and "
                f"data.path={WIDE}."
            )
