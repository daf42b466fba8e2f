"""Series of numbers side by side in a file, cut into windows."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaekit.data.cells import read
from vaekit.data.source import Rows, Source, Split
from vaekit.data.table import NEARLY
from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.spaces import Series as Space
from vaekit.written import Date, Form, Number, doubtful, nearly, readings

log = logging.getLogger(__name__)

VALUES = ("returns", "levels")
WIDE = "wide.csv"
CLOCK = {*"HIMSfgnp"}  # the letters of strptime in times of day
BARS, ADJUSTED = ("open", "high", "low", "close"), {"adj", "adjusted"}

Columns = Mapping[str, Sequence[str | None]]


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


class Series(Source):
    """The columns of numbers of a .csv or .parquet file, a row a step in time, in windows.

    Split by time: the last steps are the test, those before them the validation, and no window reaches over an edge.
    Mean and standard deviation, by which each series is standardised, are those of the steps before the validation.

    window: steps. stride: from the start of one window to that of the next. values: returns (log-returns, of prices) or
    levels. columns: names of the series; None for all columns of numbers, but of open, high, low and close the close.
    time: the column that says when, a column of days among them with another of times of day beside it; None for the
    first one of dates, or else the first of the file where its whole numbers only rise or only fall.
    validation, test: number (int) or fraction (float) of the steps.
    Empty cells, `?`, `.`, `NA` and `NaN` are missing: the mask is 0 there, and in both returns beside a missing price.
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
        incomplete = bool(np.isnan(values).any())
        return Space(shape, names, mean.tolist(), deviation.tolist(), self.values == "returns", incomplete)

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
    rows: Columns = {"": cells.index, **cells} if cells.index else cells
    forms = {name: form_of(name, column) for name, column in rows.items()}
    when = [time] if time else time_of(path, rows, forms, columns or ())
    if when and (clock := clock_of(when[0], rows, forms)):
        when.append(clock)
    if when:
        times, backwards = in_order(path, when, rows, forms)
    else:
        times, backwards = [str(row) for row in range(1, 1 + cells.count)], False
        log.warning("%s: no column of dates; its rows are taken in the order of the file. Try data.time=COLUMN.", path)
    asked = [name for name in columns or cells if name not in when]
    numbers = {name: to_numbers(path, name, cells[name], forms[name], columns is not None) for name in asked}
    series = {name: column for name, column in numbers.items() if column is not None}
    if not series:
        raise Refusal(f"{path} has no column of numbers; its columns are {', '.join(cells)}. Name another file.")
    if empty := [name for name in asked if not any(cells[name])]:
        raise Refusal(
            f"{path}: every cell of column {empty[0]!r} is missing; leave it out, by "
            f"{typed('data.columns', [name for name in series if name not in empty])}."
        )
    if columns is None:
        series = chosen(path, series)
    values = np.stack(list(series.values()))
    if returns and (values <= 0).any():
        prices = [name for name, column in series.items() if not (column <= 0).any()]
        name = next(name for name in series if name not in prices)
        row, others = int((series[name] <= 0).argmax()), f" or {typed('data.columns', prices)}" if prices else ""
        raise Refusal(
            f"{path}, row {row + 1}, column {name!r}: got the price {series[name][row]:g}, which has no "
            f"log-return; correct it, or use data.values=levels{others}."
        )
    if backwards:
        values = values[:, ::-1]
    return Table(times[1:], list(series), np.diff(np.log(values))) if returns else Table(times, list(series), values)


def time_of(path: Path, cells: Columns, forms: Mapping[str, Form | None], columns: Sequence[str]) -> list[str]:
    """The column that says when, none where nothing says. columns: those that are series.

    Raises `Refusal` where the first column of the file seems to, and its cells cannot be put in order.
    """
    dates = {name: form for name, form in forms.items() if isinstance(form, Date)}
    if dates:
        return [min(dates, key=lambda name: dates[name].fields <= CLOCK)]  # days before times of day
    name = next(iter(cells))
    form, first = forms[name], [cell or "" for cell in cells[name]]
    if name in columns or len(cells) < 2 or len({*first}) < len(first):
        return []
    if isinstance(form, Number):
        values = form.parse(first)
        steps = np.diff(values)
        if (values % 1).any() or not ((steps > 0).all() or (steps < 0).all()):
            return []
        if name:  # which the names of rows have not
            log.warning("%s: column %r is taken for the time. Use data.columns=[...] where it is a series.", path, name)
        return [name]
    return [name] if form is None and all(re.search("[0-9]", cell) for cell in first) else []


def clock_of(day: str, cells: Columns, forms: Mapping[str, Form | None]) -> str | None:
    """The column of times of day that goes with one of days, where a day has several rows."""
    if not isinstance(of_day := forms[day], Date) or of_day.fields & CLOCK or len({*cells[day]}) == len(cells[day]):
        return None
    return next((name for name, form in forms.items() if isinstance(form, Date) and form.fields <= CLOCK), None)


def chosen(path: Path, series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The series that are meant where none are named: all; of the open, high, low and close of each price the close."""
    words = {name: {*re.findall("[a-z]+", name.casefold())} for name in series}
    bars = [[name for name in series if bar in words[name] and not words[name] & ADJUSTED] for bar in BARS]
    kept = {name: series[name] for name in bars[-1]} if len({*map(len, bars)}) == 1 and bars[0] else series
    if len(series) > 1:
        log.warning(
            "%s: the series are %s, of %d columns of numbers. To choose others, use %s.",
            *(path, ", ".join(map(repr, kept)), len(series), typed("data.columns", [*series][:1])),
        )
    return kept


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


def in_order(
    path: Path, when: Sequence[str], cells: Columns, forms: Mapping[str, Form | None]
) -> tuple[list[str], bool]:
    """The cells of a column of times, the earliest first, and whether the rows are in the order of time backwards.

    when: of dates or numbers, or of words in an order, such as 2024-Q1; or a column of days and one of times of day.
    Raises `Refusal` unless the rows are in the order of time, or of time backwards.
    """
    name = " ".join(when)
    times = [" ".join(map(str, row)) if all(row) else None for row in zip(*map(cells.get, when), strict=True)]
    values = moments(times, [forms[each] for each in when])
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        got = "an empty cell" if times[row] is None else repr(times[row])
        raise Refusal(
            f"{path}, row {row + 1}, column {name!r}: got {got}, expected a date like 2024-12-31, or a number, in each "
            "row; correct it, or delete the column if the rows are in the order of time."
        )
    steps = np.diff(values)
    if len(steps) and (steps < 0).all():
        log.warning("%s: column %r has the newest row first; rows are taken in the order of time.", path, name)
        return [str(time) for time in reversed(times)], True
    if (steps <= 0).any():
        refuse_stacked(path, when, times, cells, forms)
        row = int((steps <= 0).argmax()) + 1
        raise Refusal(
            f"{path}, row {row + 1}, column {name!r}: {times[row]} comes after {times[row - 1]}, expected a later time "
            "in each row; sort the file by time, and drop what is there twice."
        )
    return [str(time) for time in times], False


def moments(times: Sequence[str | None], forms: Sequence[Form | None]) -> np.ndarray:
    """The times `[n]` of cells of a form, or of a day's and a clock's; of words their places, where they only rise or
    only fall with their numbers, as 2024-Q1 does; NaN for all others.
    """
    patterns = [form.pattern for form in forms if isinstance(form, Date)]
    if form := Date(" ".join(patterns)) if patterns else forms[0]:
        return form.parse(times)
    keys = [[int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", time or "")] for time in times]
    for direction in (1, -1):
        if keys[::direction] == sorted(keys) and all(times):
            return np.arange(len(times))[::direction]
    return np.full(len(times), np.nan)


def refuse_stacked(
    path: Path,
    when: Sequence[str],
    times: Sequence[str | None],
    cells: Columns,
    forms: Mapping[str, Form | None],
) -> None:
    """Raise `Refusal` for series that stand one under another, where another column tells them apart."""
    for name, column in cells.items():
        several = 2 * len({*column}) <= len(times) and len({*zip(column, times, strict=True)}) == len(times)
        value = next(
            (each for each, form in forms.items() if isinstance(form, Number) and each not in (name, *when)), ""
        )
        if several and value and name not in when:
            on, using, *group = (as_sql(each or "column0") for each in (name, value, *when))
            by, file = ", ".join(group), as_sql(str(path), "'")
            sql = f"PIVOT {file} ON {on} USING first({using}) GROUP BY {by} ORDER BY {by}"
            raise Refusal(
                f"{path} has {len(set(column))} series one under another, by column {name!r}, expected them side by "
                f"side. Try python -c {shlex.quote(f'import duckdb; duckdb.sql({sql!r}).write_csv({WIDE!r})')} and "
                f"data.path={WIDE}."
            )


def as_sql(text: str, mark: str = '"') -> str:
    """A name, or with ' for the mark a text, as SQL writes it."""
    return mark + text.replace(mark, 2 * mark) + mark
