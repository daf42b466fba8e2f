"""The series of a file: the order of its rows in time, and the numbers of its columns."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vaekit.data.cells import read
from vaekit.data.table import NEARLY
from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.spaces.column import WrongCell
from vaekit.written import Date, Form, Number, doubtful, nearly, readings

log = logging.getLogger(__name__)

WIDE = "wide.csv"
CLOCK = {*"HIMSfgnp"}  # the letters of strptime in times of day
PARTS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
"""The pattern of columns that have a part of the time, by their name."""
BARS, ADJUSTED = ({"open", "o"}, {"high", "h"}, {"low", "l"}), {"adj", "adjusted"}
CLOSES = ("close", "last", "price", "c")  # the first that a file has
SHOWN = 8  # number of columns that a message names

Columns = Mapping[str, Sequence[str | None]]


class Table(NamedTuple):
    """The series of a file.

    Args:
        times: The time of each row as the file writes it, or the row's number.
        names: Of the series.
        values: `[series, rows]`, NaN where they are missing.
    """

    times: list[str]
    names: list[str]
    values: np.ndarray


def read_series(
    path: str | Path,
    returns: bool,
    columns: Sequence[str] | None = None,
    time: str | None = None,
    table: str | None = None,
) -> Table:
    """The series of a file, or the log-returns from each row to the next.

    Args:
        path: The file.
        returns: Whether to take log-returns.
        columns: See `Series`.
        time: See `Series`.
        table: See `Series`.

    Raises:
        Refusal: As `Series` does.
    """
    path = Path(path).expanduser()
    cells = read(path, table=table)
    for name in (*(columns or ()), *([time] if time else ())):
        if name not in cells:
            raise Refusal(f"{path} has no column {name!r}; it has {', '.join(cells)}.")
    rows: Columns = {"": cells.index, **cells} if cells.index else cells
    parts = parts_of(rows)
    forms = {name: form_of(name, column) for name, column in rows.items()}
    dated = time or any(isinstance(form, Date) for form in forms.values())
    if not dated and {"%Y", "%m"} <= {form.pattern for form in parts.values()}:
        when, forms = [*parts], {**forms, **parts}
    else:
        when = [time] if time else time_of(path, rows, forms, columns or ())
        clock = clock_of(when[0], rows, forms, parts) if when else {}
        when, forms = [*when, *clock], {**forms, **clock}
    if when:
        with cells.locating():
            times, backwards = in_order(path, when, rows, forms)
    else:
        times, backwards = [str(row) for row in range(1, 1 + cells.count)], False
        log.warning("%s: no column of dates; rows are used in the order of the file. Try data.time=COLUMN.", path)
    asked = [name for name in columns or cells if name not in when and (columns or name not in parts)]
    with cells.locating():
        numbers = {name: to_numbers(name, cells[name], forms[name], columns is not None) for name in asked}
    series = {name: column for name, column in numbers.items() if column is not None}
    if not series:
        raise Refusal(f"{path} has no numeric column; its columns are {', '.join(cells)}. Name another file.")
    if empty := [name for name in asked if not any(cells[name])]:
        raise Refusal(
            f"{path}: every cell of column {empty[0]!r} is missing; leave it out, by "
            f"{typed('data.columns', [name for name in series if name not in empty])}."
        )
    if text := [f"{name!r} ({next(filter(None, cells[name]))})" for name in asked if numbers[name] is None]:
        log.warning("%s: columns that are not numbers are left out: %s.", path, listed(text))
    if columns is None:
        series = chosen(path, series)
    values = np.stack(list(series.values()))
    if returns and (values <= 0).any():
        prices = [name for name, column in series.items() if not (column <= 0).any()]
        name = next(name for name in series if name not in prices)
        row, others = int((series[name] <= 0).argmax()), f" or {typed('data.columns', prices)}" if prices else ""
        raise Refusal(
            f"{path}, {cells.location(row)}, column {name!r}: got the price {series[name][row]:g}, which has no "
            f"log-return; correct it, or use data.values=levels{others}."
        )
    if backwards:
        values = values[:, ::-1]
    return Table(times[1:], list(series), np.diff(np.log(values))) if returns else Table(times, list(series), values)


def time_of(path: Path, cells: Columns, forms: Mapping[str, Form | None], columns: Sequence[str]) -> list[str]:
    """The column of times in a list, which is empty where no column is one.

    Args:
        path: The file, for messages.
        cells: Cells by column.
        forms: The form of each column, None for text.
        columns: Columns that are series.
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
        if name:  # row names have no column name
            log.warning("%s: column %r is used as the time. Use data.columns=[...] if it is a series.", path, name)
        return [name]
    return [name] if form is None and all(re.search("[0-9]", cell) for cell in first) else []


def parts_of(cells: Columns) -> dict[str, Date]:
    """The form of each column of years, months, days, hours, ..., the largest unit first.

    Args:
        cells: Cells by column.
    """
    named = {name.casefold(): name for name in cells}
    parts = {named[part]: Date(pattern) for part, pattern in PARTS.items() if part in named}
    return {name: form for name, form in parts.items() if not np.isnan(form.parse(cells[name])).any()}


def clock_of(
    day: str, cells: Columns, forms: Mapping[str, Form | None], parts: Mapping[str, Date]
) -> Mapping[str, Date]:
    """The form of each column of times of day that belongs to a column of days, where a day has several rows.

    Args:
        day: The column of days.
        cells: Cells by column.
        forms: The form of each column.
        parts: The form of columns of hours, ...
    """
    if not isinstance(of_day := forms[day], Date) or of_day.fields & CLOCK or len({*cells[day]}) == len(cells[day]):
        return {}
    times = {name: form for name, form in forms.items() if isinstance(form, Date) and form.fields <= CLOCK}
    return dict([*times.items()][:1]) or {name: form for name, form in parts.items() if form.fields <= CLOCK}


def chosen(path: Path, series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The series to model if none are named: all, or only the close of open, high, low and close.

    Args:
        path: The file, for messages.
        series: Values `[rows]` by column.
    """
    words = {name: {*re.findall("[a-z]+", name.casefold())} for name in series}
    kept = series
    for close in reversed(CLOSES):
        bars = [
            [each for each in series if words[each] & bar and not words[each] & ADJUSTED] for bar in (*BARS, {close})
        ]
        if len({*map(len, bars)}) == 1 and bars[0]:
            kept = {name: series[name] for name in bars[-1]}
    if len(series) > 1:
        log.warning(
            "%s: the series are %s, out of %d numeric columns. To choose others, use %s.",
            *(path, listed([*map(repr, kept)]), len(series), typed("data.columns", [*series][:1])),
        )
    return kept


def listed(names: Sequence[str]) -> str:
    """Names in a message, of many only the first.

    Args:
        names: Of columns, as the message has them.
    """
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def form_of(name: str, cells: Sequence[str | None]) -> Form | None:
    """The form of all or nearly all numbers or dates of a column; None where it has neither.

    Args:
        name: The column, for messages.
        cells: Its cells.
    """
    distinct = [*dict.fromkeys(cell for cell in cells if cell is not None)]
    if not distinct:
        return None
    forms = readings(distinct)
    if doubt := doubtful(distinct, forms):
        log.warning("Column %r: %s.", name, doubt)
    return forms[0] if forms else nearly(distinct, NEARLY)


def to_numbers(name: str, cells: Sequence[str | None], form: Form | None, required: bool) -> np.ndarray | None:
    """The numbers of a column, NaN where missing; None for a column without numbers that is not required.

    Args:
        name: The column.
        cells: Its cells.
        form: The form of its numbers, or None.
        required: Whether the user named the column.

    Raises:
        WrongCell: If a cell is not a finite number, or all are missing.
    """
    if not isinstance(form, Number) and not required:
        return None
    values = (form if isinstance(form, Number) else Number()).parse(cells)
    observed = np.array([cell is not None for cell in cells])
    if (wrong := observed & ~np.isfinite(values)).any() or not observed.any():
        row = int(wrong.argmax())
        got, expected = (cells[row], "a finite number") if np.isinf(values[row]) else (repr(cells[row]), "a number")
        fix = "correct it, leave the cell empty, or choose other columns by data.columns=[a,b]"
        raise WrongCell(row, name, f"got {got}, expected {expected}; {fix}.")
    return values


def in_order(
    path: Path, when: Sequence[str], cells: Columns, forms: Mapping[str, Form | None]
) -> tuple[list[str], bool]:
    """The cells of a column of times, the earliest first, and whether the rows are in reverse order.

    Args:
        path: The file, for messages.
        when: Columns: one of dates, numbers or ordered words such as 2024-Q1, or one of days and one of times of day.
        cells: Cells by column.
        forms: The form of each column.

    Raises:
        WrongCell: If a cell is not a time, or the rows are neither in the order of time nor in reverse order.
        Refusal: If the series are stacked in one column.
    """
    name = " ".join(when)
    times = [" ".join(map(str, row)) if all(row) else None for row in zip(*map(cells.get, when), strict=True)]
    values = moments(times, [forms[each] for each in when])
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        got = "an empty cell" if times[row] is None else repr(times[row])
        expected = "expected a date like 2024-12-31, or a number, in each row"
        fix = "correct it, or delete the column if the rows are in the order of time"
        raise WrongCell(row, name, f"got {got}, {expected}; {fix}.")
    steps = np.diff(values)
    if len(steps) and (steps < 0).all():
        log.warning("%s: column %r has the newest row first; rows are used in the order of time.", path, name)
        return [str(time) for time in reversed(times)], True
    if (steps <= 0).any():
        refuse_stacked(path, when, times, cells, forms)
        row = int((steps <= 0).argmax()) + 1
        expected = "expected a later time in each row; sort the file by time, and drop duplicate rows"
        raise WrongCell(row, name, f"{times[row]} comes after {times[row - 1]}, {expected}.")
    return [str(time) for time in times], False


def moments(times: Sequence[str | None], forms: Sequence[Form | None]) -> np.ndarray:
    """The times of cells as numbers `[n]`; NaN for cells that are not times.

    Words such as 2024-Q1 are numbered by row if the numbers in them only rise or only fall.

    Args:
        times: Cells of times.
        forms: The form of each column that was joined into `times`.
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
    """Refuse series that are stacked in one column and named by another.

    Args:
        path: The file.
        when: Columns of times.
        times: Cells of times.
        cells: Cells by column.
        forms: The form of each column.

    Raises:
        Refusal: If there is such a column, with a command that pivots the file.
    """
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
                f"{path} has {len(set(column))} series stacked in one column, named by column {name!r}, expected one "
                f"column per series. Try python -c "
                f"{shlex.quote(f'import duckdb; duckdb.sql({sql!r}).write_csv({WIDE!r})')} and data.path={WIDE}."
            )


def as_sql(text: str, mark: str = '"') -> str:
    """A name in SQL, or with ' as the mark a text.

    Args:
        text: The name or text.
        mark: The quotation mark.
    """
    return mark + text.replace(mark, 2 * mark) + mark
