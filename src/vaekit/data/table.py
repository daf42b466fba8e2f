"""Tables that somebody saved: .csv (and .tsv, .txt, .data), .parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from io import StringIO
from pathlib import Path

import numpy as np
from torch import Tensor

from vaekit.columns import DATES, KINDS, Column, WrongCell, numbers, quantiles, typed
from vaekit.data.source import Rows, Split
from vaekit.refusal import Refusal
from vaekit.spaces import Table as Space

MISSING = {"", "?", "NA", "N/A", "NaN", "nan", "null"}
FEW = 20  # distinct whole numbers up to which they are categories in order
NEARLY = 0.95  # share of the distinct cells of which more are meant to be numbers, or dates, than categories
MOST = 1000  # categories up to which there is one number for each


class Cells(dict[str, list[str | None]]):
    """Of each column, by name.

    path: the file that they are from. lines: that of each row, where the file has lines.
    """

    def __init__(self, columns: Mapping[str, list[str | None]], path: Path, lines: Sequence[int] = ()):
        super().__init__(columns)
        self.path, self.lines = path, lines

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Within, the refusal of a cell names the file and the line."""
        try:
            yield
        except WrongCell as wrong:
            line = f", line {self.lines[wrong.row]}" if self.lines else ""
            raise Refusal(f"{self.path}{line}: {wrong}") from None


class Table:
    """A table in one file, .csv (a first line of names; `,`, `;`, `|` or a tab between cells) or .parquet, or in two.

    Empty cells, `?`, `NA` and `NaN` are missing: the row's mask is 0 there. Spaces around cells are dropped.

    test_path: a file of test rows. columns: names, of a file without a line of them. types: of a column, by name, where
    it is another than the cells suggest (`infer`): real, positive, date, count, binary, ordinal, categorical, or
    `ignore`, which leaves it out. label: the column whose categories are the classes of rows, which is no part of x;
    an empty cell is a missing label.
    Quantiles and categories are those of all rows of the file, validation and test among them where there is no
    `test_path`: marginals alone.
    Raises `Refusal`, naming row and column, for what cannot be read.
    """

    def __init__(
        self,
        path: str | Path | None,
        test_path: str | Path | None = None,
        columns: Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        label: str | None = None,
    ):
        if path is None:
            raise Refusal("data.path is not set; name a .csv or .parquet file, for example data.path=rows.csv.")
        self.path, self.test_path = Path(path).expanduser(), test_path
        self.columns, self.types, self.label = columns, dict(types or {}), label
        self.name = self.path.stem

    @cached_property
    def space(self) -> Space:
        if unknown := self.types.keys() - self._cells.keys():
            raise Refusal(f"data.types names {unknown.pop()!r}, expected one of {', '.join(self._cells)}.")
        if wrong := [each for each in self.types.values() if each not in (*KINDS, "ignore")]:
            raise Refusal(f"Got data.types with {wrong[0]}, expected {', '.join(KINDS)} or ignore.")
        kept = {name: cells for name, cells in self._cells.items() if self.types.get(name) != "ignore"}
        if not kept.keys() - {self.label}:
            raise Refusal("data.types and data.label leave no column; leave some.")
        if self.label is not None and self.label not in kept:
            raise Refusal(
                f"Got data.label={self.label}, expected one of {', '.join(kept)}; use data.label=null for none."
            )
        with self._cells.placed():
            columns = [infer(name, cells, self.types.get(name)) for name, cells in kept.items()]
        if kind := next((each.kind for each in columns if each.name == self.label and not each.categories), None):
            raise Refusal(
                f"data.label={self.label} is a {kind} column, of numbers, expected one of categories; name another, or "
                f"use {typed(str(self.label), 'categorical')}."
            )
        return Space.of(columns, self.label)

    def classes(self) -> dict[str, int] | None:
        """The label of each class."""
        return self.space.classes or None

    def load(self, split: Split) -> Rows | None:
        if split == "test":
            return None if self.test_path is None else encode(read(self.test_path, self.columns), self.space)
        return encode(self._cells, self.space)

    @cached_property
    def _cells(self) -> Cells:
        return read(self.path, self.columns)


def read(path: str | Path, columns: Sequence[str] | None = None) -> Cells:
    """The cells of a file, stripped, None where they are missing. columns: see `Table`. Raises `Refusal`."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise Refusal(f"There is no file {path.absolute()}; name a .csv or .parquet file that is there.")
    names, rows, lines = _parquet(path) if path.suffix == ".parquet" else _csv(path, columns)
    if len(set(names)) < len(names) or "" in names:
        wrong = next((name for name in names if not name or names.count(name) > 1), "")
        raise Refusal(f"{path}: the column name {wrong!r} is empty or there twice; rename it in the file.")
    if not rows:
        raise Refusal(f"{path} is empty: it holds no rows; name a file that does.")
    cells = {
        name: [None if cell in MISSING else cell for cell in each]
        for name, each in zip(names, zip(*rows, strict=True), strict=True)
    }
    return Cells(cells, path, lines)


def _csv(path: Path, columns: Sequence[str] | None) -> tuple[list[str], list[list[str]], list[int]]:
    """The names of the columns, the cells of each row, and the line that it stands in."""
    try:
        file = StringIO(path.read_bytes().decode("utf-8-sig"), newline="")
        separator = max(",;\t|", key=file.readline().count)
        file.seek(0)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if line]
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Refusal(f"Cannot read {path}, line {line} ({error}); save it as CSV in UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise Refusal(f"Cannot read {path} ({error}); save it as CSV in UTF-8.") from error
    if not lines:
        raise Refusal(f"{path} is empty; name another file.")
    names = list(columns) if columns else lines.pop(0)[1]
    for number, cells in lines:
        if len(cells) != len(names):
            raise Refusal(
                f"{path}, line {number}: got {len(cells)} cells, expected {len(names)}, as many as there are columns; "
                "correct it, and let `,`, `;`, `|` or a tab stand between cells."
            )
    if not columns and (found := [name for name in names if _is_number(name)]):
        raise Refusal(
            f"{path}: the first line holds the number {found[0]}, so that it is no line of names; add one to the file, "
            "or give them, of data=table, by data.columns=[a,b,...]."
        )
    return names, [cells for _, cells in lines], [number for number, _ in lines]


def _parquet(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """As `_csv`; such a file has no lines."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise Refusal("A .parquet file needs the library pyarrow; type: pip install '.[table]'") from None
    try:
        table = parquet.read_table(path)
    except Exception as error:  # pyarrow raises its own kinds
        raise Refusal(f"Cannot read {path} as parquet ({error}); save it again, or as CSV.") from error
    columns = [["" if cell is None else str(cell).strip() for cell in each.to_pylist()] for each in table.columns]
    return list(table.column_names), [list(row) for row in zip(*columns, strict=True)], []


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False


def infer(name: str, cells: Sequence[str | None], kind: str | None = None) -> Column:
    """The column that these cells are of.

    kind: None for what they suggest. Two different cells are binary; up to `FEW` different whole numbers ordinal; more
    of them count, where they go from 0 on and half of those up to the largest are there; other numbers positive, where
    all are above 0, or real; dates in one of `DATES` date; all else is categorical.
    Raises `Refusal` for a column without cells, one of another kind than is asked for, or a few cells that are neither
    numbers nor dates where `NEARLY` all others are.
    """
    there = [cell for cell in cells if cell is not None]
    distinct = sorted(set(there))
    if not there:
        raise Refusal(f"Column {name!r} has no cell that is not missing; use {typed(name, 'ignore')}.")
    if any("${" in text for text in (name, *distinct)):
        raise Refusal(f"Column {name!r} holds '${{', which configurations read as a reference; replace it.")
    if kind is None:
        kind = _suggested(distinct)
        if kind == "categorical" and len(distinct) > FEW:
            _refuse_odd_cell(name, cells, distinct)
    if kind == "count":
        Column(name, "count").encode(cells)
        return Column(name, "count")
    if kind in ("real", "positive", "date"):
        form = next((form for form in DATES if _are_dates(distinct, form)), DATES[0])
        return Column(name, kind, (), quantiles(numbers(cells, name, kind, form)), _decimals(distinct), form)
    if kind == "binary" and len(distinct) != 2:
        other = typed(name, _suggested(distinct))
        raise Refusal(f"Column {name!r} has {len(distinct)} different cells, not two; use {other}.")
    if len(distinct) > MOST:
        raise Refusal(
            f"Column {name!r} has {len(distinct):,} different cells, expected at most {MOST:,} categories; "
            f"use {typed(name, 'ignore')}."
        )
    if all(map(_is_number, distinct)):
        distinct.sort(key=float)
    elif kind == "ordinal":
        wrong = next(cell for cell in distinct if not _is_number(cell))
        hint = f"use {typed(name, 'categorical')}."
        raise WrongCell(cells.index(wrong), name, f"got {wrong!r}, expected a number; {hint}")
    return Column(name, kind, distinct)


def _suggested(distinct: Sequence[str]) -> str:
    if len(distinct) < 3:
        return "binary" if len(distinct) == 2 else "categorical"
    if all(map(_is_number, distinct)):
        values = np.array(distinct, dtype=float)
        if not np.isfinite(values).all() or (values != np.floor(values)).any():
            return "positive" if values.min() > 0 else "real"
        if len(distinct) <= FEW:
            return "ordinal"
        if values.min() == 0 and len(distinct) > values.max() / 2:
            return "count"
        return "positive" if values.min() > 0 else "real"
    return "date" if any(_are_dates(distinct, form) for form in DATES) else "categorical"


def _refuse_odd_cell(name: str, cells: Sequence[str | None], distinct: Sequence[str]) -> None:
    """Raise `Refusal` for the first cell that makes categories of what are nearly all numbers, or nearly all dates."""
    sample = distinct[:: 1 + len(distinct) // MOST]
    for form in ("", *DATES):

        def alike(cell: str, form: str = form) -> bool:
            return _are_dates([cell], form) if form else _is_number(cell)

        if np.mean([alike(cell.replace(",", "")) for cell in sample]) >= NEARLY:
            expected = f"a date like {form}" if form else "a number like 1234.5"
            row = next(row for row, cell in enumerate(cells) if cell is not None and not alike(cell))
            hint = f"correct it, leave it empty, or use {typed(name, 'categorical')} for categories."
            raise WrongCell(row, name, f"got {cells[row]!r}, expected {expected}, as most are; {hint}")


def _are_dates(cells: Sequence[str], form: str) -> bool:
    with suppress(ValueError):
        return all(datetime.strptime(cell, form) for cell in cells)
    return False


def _decimals(cells: Sequence[str]) -> int | None:
    """Digits behind the point, as many as any of these cells has; None where they are written with an exponent."""
    if any("e" in cell.lower() for cell in cells):
        return None
    return max(len(cell.partition(".")[2]) for cell in cells)


def encode(cells: Cells, space: Space) -> Rows:
    """Rows of the space, with labels where the file has their column.

    Raises `Refusal` for other columns than its own, in any order, and cells that it lacks.
    """
    if missing := [column.name for column in space.columns if column.name not in cells]:
        raise Refusal(f"{cells.path} has no column {missing[0]!r}; it has {', '.join(cells)}. Add it, its cells empty.")
    with cells.placed():
        x, mask = space.encode([cells[column.name] for column in space.columns])
        label = space.label.places(cells[space.label.name]) if space.label and space.label.name in cells else None
    return Rows(x, label, None if mask.all() else mask)


def write(path: Path, x: Tensor, space: Space, given: Cells | None = None, label: Tensor | None = None) -> None:
    """Write rows x `[n, *space.shape]` as CSV, with the names, order, decimals and categories of the original.

    label: `[n]`, of the column that is the label, whose cells are empty without it.
    given: cells that are kept as they are, where they are not missing.
    """
    columns = space.decode(x, label)
    if given is not None:
        for name, cells in zip(space.names, columns, strict=True):
            cells[:] = [new if old is None else old for new, old in zip(cells, given.get(name, cells), strict=True)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(space.names)
        writer.writerows(zip(*columns, strict=True))
