"""Table files: .csv (and .tsv, .txt, .data), .parquet, .jsonl, SQLite, Excel."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaekit.csv_file import write_csv
from vaekit.data.cells import Cells, read
from vaekit.data.containers import READERS
from vaekit.data.source import Rows, Source, Split
from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.spaces import Table as Space
from vaekit.spaces.column import KINDS, LARGEST, Column, WrongCell, kind_override, kinds_override, parse_numbers
from vaekit.written import Date, Form, Number, are_codes, doubtful, is_pattern, nearly, readings

log = logging.getLogger(__name__)

ODD = 0.1  # total variation from the nearest negative binomial, beyond chance, above which counts become real numbers
FEW = 20  # number of distinct whole numbers up to which a column is ordinal
NEARLY = 0.95  # fraction of distinct cells that are numbers, or dates, above which the others are mistakes
CHANCE = 10  # -log of the probability that all whole numbers differ by chance, above which they are identifiers
MOST = 1000  # largest number of categories
RARE = 2  # mean number of rows per category below which categories cannot be learned


class Table(Source):
    """A table in one or two files: .csv (`,`, `;`, `|`, a tab or spaces between cells), or one of `READERS`.

    Empty cells, `?`, `.`, `NA`, `NaN`, `NULL` and `None` are missing: the row's mask is 0 for them. Spaces around cells
    are dropped. Quantiles and categories are computed from all rows of the file, including validation and, without
    `test_path`, test rows. They contain the marginal distributions only.

    Args:
        path: The file.
        test_path: A file of test rows.
        columns: Names of columns, for a file without a line of names.
        types: Type of a column, by name or as pairs of name and type, where it differs from what `infer` finds: real,
            positive, date, count, binary, ordinal, categorical, identifier, `ignore`, which leaves the column out, or
            the pattern of its dates, %d/%m/%Y.
        label: The column of the classes of rows, which is not part of x; an empty cell is a missing label.
        decimal: Decimal mark of numbers such as 1,234 where neither their column nor another one decides; None for a
            point, or a comma where `;` separates cells.
        table: The table, or sheet, of an SQLite or Excel file that has several.

    Raises:
        Refusal: If a cell cannot be read; the message names row and column.
    """

    suffixes = (".csv", ".tsv", ".data", *READERS)

    def __init__(
        self,
        path: str | Path | None,
        test_path: str | Path | None = None,
        columns: Sequence[str] | None = None,
        types: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        label: str | None = None,
        decimal: str | None = None,
        table: str | None = None,
    ):
        if path is None:
            raise Refusal("data.path is not set; name a .csv or .parquet file, for example data.path=rows.csv.")
        self.path, self.test_path = Path(path).expanduser(), test_path
        if decimal not in (None, ".", ","):
            raise Refusal(f"Got data.decimal={decimal!r}, expected . or ,; try 'data.decimal=\",\"'.")
        self.columns, self.types, self.label, self.decimal = columns, dict(types or {}), label, decimal
        self.table = table
        self.name = self.path.stem

    @cached_property
    def space(self) -> Space:
        if unknown := self.types.keys() - self._cells.keys():
            raise Refusal(f"data.types names {unknown.pop()!r}, expected one of {', '.join(self._cells)}.")
        if wrong := [each for each in self.types.values() if each not in (*KINDS, "ignore") and not is_pattern(each)]:
            raise Refusal(f"Got data.types with {wrong[0]}, expected {', '.join(KINDS)}, ignore or %d/%m/%Y.")
        kept = {name: cells for name, cells in self._cells.items() if self.types.get(name) != "ignore"}
        if not kept.keys() - {self.label}:
            raise Refusal("data.types and data.label leave no column to model. Remove some of them.")
        if self.label is not None and self.label not in kept:
            raise Refusal(
                f"Got data.label={self.label}, expected one of {', '.join(kept)}; use data.label=null for none."
            )
        distinct = {name: [*dict.fromkeys(cell for cell in cells if cell is not None)] for name, cells in kept.items()}
        _refuse_empty([name for name, cells in distinct.items() if not cells])
        forms = {name: readings(cells) for name, cells in distinct.items()}
        mark = self.decimal or self._mark([*forms.values()])
        for each in forms.values():
            each.sort(key=lambda form: isinstance(form, Number) and form.decimal != mark)
        with self._cells.locating():
            columns = [
                replace(
                    infer(name, cells, self.types.get(name), forms[name]), missing=self._cells.missing.get(name, "")
                )
                for name, cells in kept.items()
            ]
        for column in columns:
            self._log_ambiguities(column, distinct[column.name], forms[column.name])
            if column.kind == "identifier" and column.name not in self.types:
                log.warning(
                    "%s: column %r identifies rows: it is not modeled, and new rows get new identifiers. Use %s to "
                    "omit it from written files, or another kind, such as real or categorical, to model it.",
                    self.path,
                    column.name,
                    kind_override(column.name, "ignore"),
                )
        if not any(column.width for column in columns if column.name != self.label):
            raise Refusal(f"{self.path}: all columns are identifiers, expected others. Set their types by data.types.")
        if kind := next((each.kind for each in columns if each.name == self.label and not each.categories), None):
            raise Refusal(
                f"data.label={self.label} is a {kind} column, of numbers, expected one of categories; name another, or "
                f"use {kind_override(str(self.label), 'categorical')}."
            )
        header = () if self._cells.headed else tuple(self._cells)
        return Space.of(columns, self.label, self._cells.separator, header)

    def _mark(self, forms: Sequence[Sequence[Form]]) -> str:
        """The decimal mark of the file, inferred from its unambiguous numeric columns."""
        certain = [each[0] for each in forms if len(each) == 1]
        marks = {form.decimal for form in certain if isinstance(form, Number) and (form.places or form.padded)}
        return marks.pop() if len(marks) == 1 else "," if self._cells.separator == ";" and not marks else "."

    def _log_ambiguities(self, column: Column, distinct: Sequence[str], forms: Sequence[Form]) -> None:
        """Log a warning for cells that are ambiguous, and for too many categories."""
        name, rows = column.name, sum(cell is not None for cell in self._cells[column.name])
        said = name in self.types or (isinstance(column.form, Number) and self.decimal is not None)
        if column.form is not None and not said and (doubt := doubtful(distinct, forms)):
            other = (
                kind_override(name, forms[1].pattern)
                if isinstance(forms[1], Date)
                else typed("data.decimal", forms[1].decimal)
            )
            log.warning("Column %r: %s. If so, use %s.", name, doubt, other)
        if column.kind == "categorical" and rows < RARE * len(column.categories):
            log.warning(
                "Column %r has %d different cells in %d rows, too many to learn as categories: generated rows contain "
                "cells of the file. Try %s to leave it out.",
                *(name, len(column.categories), rows, kind_override(name, "ignore")),
            )

    def classes(self) -> dict[str, int]:
        """The label of each class."""
        return self.space.classes

    def load(self, split: Split) -> Rows | None:
        if split == "test":
            if self.test_path is None:
                return None
            return encode(read_rows(self.test_path, self.space, self.columns, self.table), self.space)
        return encode(self._cells, self.space)

    @cached_property
    def _cells(self) -> Cells:
        return read(self.path, self.columns, self.table)


def infer(
    name: str, cells: Sequence[str | None], kind: str | None = None, forms: Sequence[Form] | None = None
) -> Column:
    """The kind of a column, inferred from its cells.

    Two different cells are binary; up to `FEW` different whole numbers ordinal; more of them count, if they start at 0,
    at least half of the numbers up to the largest occur, and a negative binomial fits their frequencies; other numbers
    positive, if all are above 0, or real; dates and times date; text that differs nearly everywhere, and whole numbers
    like 1 .. N, identifier; all else is categorical, codes included (`vaekit.written`).

    Args:
        name: The column.
        cells: Its cells, None where missing.
        kind: None for what the cells suggest, or a kind, or a pattern of dates such as %d/%m/%Y.
        forms: How the cells may be written, the likeliest first; None for `readings`.

    Raises:
        Refusal: If all cells are missing, the column is not of the kind asked for, or a few cells are neither numbers
            nor dates where the fraction `NEARLY` of all is.

    Example:
        >>> from vaekit.data.table import infer
        >>> infer("smokes", ["no", "yes", None]).kind
        'binary'
    """
    distinct = [*dict.fromkeys(cell for cell in cells if cell is not None)]
    _refuse_empty([] if distinct else [name])
    if any("${" in text for text in (name, *distinct)):
        raise Refusal(f"Column {name!r} holds '${{', which a configuration reads as a reference; replace it.")
    forms = readings(distinct) if forms is None else forms
    if kind is not None and is_pattern(kind):
        forms, kind = [Date(kind)], "date"
    if kind is None:
        kind = _suggested(distinct, forms)
        if kind == "count" and _is_odd(forms[0].parse([cell for cell in cells if cell is not None])):
            kind = "real"
        if kind == "categorical" and len(distinct) > FEW:
            _refuse_odd_cell(name, cells, distinct)
        if _are_identifiers(kind, cells, distinct, forms):
            kind = "identifier"
    if kind == "identifier":
        return Column.from_identifiers(name, cells)
    if kind in ("real", "positive", "date", "count"):
        wanted = Date if kind == "date" else Number
        form = next((form for form in forms if isinstance(form, wanted)), None) or nearly(distinct, 0.5)
        form = form if isinstance(form, wanted) else Date("%Y-%m-%d") if kind == "date" else Number()
        values = parse_numbers(cells, name, form, f"use {kind_override(name, 'categorical')}")
        _refuse_values(name, kind, cells, values)
        if kind == "count":
            return Column.from_cells(name, kind, cells, form=form)
        return Column.from_values(name, kind, values, form)
    if kind == "binary" and len(distinct) != 2:
        other = kind_override(name, _suggested(distinct, forms))
        raise Refusal(f"Column {name!r} has {len(distinct)} different cells, not two; use {other}.")
    if len(distinct) > MOST:
        raise Refusal(
            f"Column {name!r} has {len(distinct):,} different cells, expected at most {MOST:,} categories; "
            f"use {kind_override(name, 'ignore')}."
        )
    if forms:
        value = dict(zip(distinct, forms[0].parse(distinct), strict=True))
        return Column.from_cells(name, kind, cells, sorted(distinct, key=lambda cell: (value[cell], cell)))
    if kind == "ordinal":
        parse_numbers(cells, name, nearly(distinct, 0.5) or Number(), f"use {kind_override(name, 'categorical')}")
    return Column.from_cells(name, kind, cells, sorted(distinct))


def _refuse_values(name: str, kind: str, cells: Sequence[str | None], values: np.ndarray) -> None:
    """Raise `WrongCell` for the first of the values `[n]` that the kind does not allow."""
    if kind == "count":
        wrong = (values < 0) | (values % 1 > 0) | (values > LARGEST)
        why = f"{{!r}} is not a count (0, 1, ..., {LARGEST})"
    else:
        wrong, why = values <= 0, "got {!r}, expected a number above 0"
    if kind in ("count", "positive") and wrong.any():
        row = int(wrong.argmax())
        raise WrongCell(row, name, f"{why.format(cells[row])}; use {kind_override(name, 'real')}.")


def _suggested(distinct: Sequence[str], forms: Sequence[Form]) -> str:
    if len(distinct) < 3:
        return "binary" if len(distinct) == 2 else "categorical"
    if not forms or isinstance(forms[0], Date):
        return "date" if forms else "categorical"
    values = forms[0].parse(distinct)
    if not np.isfinite(values).all() or (values != np.floor(values)).any():
        return "positive" if values.min() > 0 else "real"
    if len(distinct) <= FEW:
        return "ordinal"
    if values.min() == 0 and len(distinct) > values.max() / 2 and values.max() <= LARGEST:
        return "count"
    return "positive" if values.min() > 0 else "real"


def _is_odd(counts: np.ndarray) -> bool:
    """Whether no negative binomial of 0 .. largest, on a grid of means and dispersions, comes near counts `[n]`."""
    fraction = torch.from_numpy(np.bincount(counts.astype(np.int64)) / len(counts))
    n = torch.arange(len(fraction), dtype=torch.float64)
    total = torch.logspace(-2, 3, 41, dtype=torch.float64)[:, None, None]
    mean = torch.logspace(-1, math.log10(4 * len(n)), 61, dtype=torch.float64)[:, None]
    mass = ((total + n).lgamma() - (n + 1).lgamma() + n * (mean / (mean + total)).log()).softmax(-1)
    chance = (2 * fraction / (math.pi * len(counts))).sqrt().sum()  # expected for draws from the true distribution
    return bool(((mass - fraction).abs().sum(-1).min() - chance) / 2 > ODD)


def _are_identifiers(kind: str, cells: Sequence[str | None], distinct: Sequence[str], forms: Sequence[Form]) -> bool:
    """Whether cells identify their rows: text that differs in nearly every row, or distinct whole numbers like 1 .. N.

    n random whole numbers would be distinct with probability exp(-n^2 / (2 range)) at most.
    """
    count = sum(cell is not None for cell in cells)
    if len(distinct) <= FEW or kind not in ("categorical", "count", "positive", "real"):
        return False
    if kind == "categorical":
        return len(distinct) >= NEARLY * count
    values = forms[0].parse(distinct)
    if not np.isfinite(values).all():  # refused later, with its row
        return False
    return len(distinct) == count and not (values % 1).any() and count**2 / (2 * np.ptp(values)) > CHANCE


def _refuse_empty(names: Sequence[str]) -> None:
    """Raise `Refusal` if there are columns without a cell."""
    if names:
        columns = "Column {} has" if len(names) == 1 else "Columns {} have"
        which = columns.format(", ".join(map(repr, names)))
        raise Refusal(f"{which} only missing cells; use {kinds_override(dict.fromkeys(names, 'ignore'))}.")


def _refuse_odd_cell(name: str, cells: Sequence[str | None], distinct: Sequence[str]) -> None:
    """Raise `WrongCell` for the first cell that is not a number, or date, in a column where nearly all are."""
    sample = distinct[:: 1 + len(distinct) // MOST]
    if (form := nearly(sample, NEARLY)) is not None and not are_codes(distinct):
        observed = np.array([cell is not None for cell in cells])
        row = int((observed & np.isnan(form.parse(cells))).argmax())
        hint = f"correct it, leave it empty, or use {kind_override(name, 'categorical')} for categories."
        expected = f"a {form.noun} like {form.example}"
        raise WrongCell(row, name, f"got {cells[row]!r}, expected {expected}, as most are; {hint}")


def read_rows(path: str | Path, space: Space, columns: Sequence[str] | None = None, table: str | None = None) -> Cells:
    """The cells of a file whose missing cells are written as in the file of the space, or as `read` knows.

    Args:
        path: The file.
        space: The table.
        columns: See `read`; None for the names in the space.
        table: See `read`.

    Raises:
        Refusal: As `read` does.
    """
    cells = read(path, columns or space.header, table)
    for column in space.in_file:
        if column.missing and column.name in cells:
            cells[column.name] = [None if cell == column.missing else cell for cell in cells[column.name]]
    return cells


def encode(cells: Cells, space: Space) -> Rows:
    """Rows of a table's space, with labels where the file has their column.

    Categories and values beyond those of the space are logged.

    Args:
        cells: Of a file; columns in any order.
        space: The table.

    Raises:
        Refusal: If a column is missing, text stands in place of a number, or a label is unknown.
    """
    if missing := [column.name for column in space.ordered if column.name not in cells]:
        raise Refusal(f"{cells.path} has no column {missing[0]!r}; it has {', '.join(cells)}. Add it with empty cells.")
    with cells.locating():
        x, mask = space.encode([cells.get(column.name, [None] * cells.count) for column in space.columns])
        label = None
        if space.label and space.label.name in cells:
            space.label.check(cells[space.label.name])
            label = space.label.codes(cells[space.label.name])
        _warn(cells, space)
    return Rows(x, label, None if mask.all() else mask)


def _warn(cells: Cells, space: Space) -> None:
    """Log how many cells of a file are categories or values that training did not see."""
    found = {column.name: column.novel(cells[column.name]) for column in space.columns if column.width}
    if counts := {name: int(each.sum()) for name, each in found.items() if each.any()}:
        rows = np.logical_or.reduce(list(found.values()))
        log.warning(
            "%s: %d rows hold cells that training did not see, which count as unusual (%s; the first in %s).",
            cells.path,
            rows.sum(),
            ", ".join(f"{name}: {count}" for name, count in counts.items()),
            cells.location(int(rows.argmax())),
        )


def write(path: Path, x: Tensor, space: Space, label: Tensor | None = None, spreadsheet: bool = False) -> None:
    """Write rows as CSV, with the names, order, separator and written forms of the original.

    Args:
        path: The CSV file.
        x: `[n, *space.shape]`.
        space: The table.
        label: `[n]`, of the label's column, whose cells are empty without it.
        spreadsheet: See `write_csv`.
    """
    write_cells(path, space.decode(x, label), space, spreadsheet=spreadsheet)


def write_cells(
    path: Path, columns: list[list[str]], space: Space, given: Cells | None = None, spreadsheet: bool = False
) -> None:
    """Write the cells of columns in the order of the space.

    Args:
        path: The CSV file.
        columns: Cells `[n]` of each column.
        space: The table.
        given: Cells that are kept, where they are not missing.
        spreadsheet: See `write_csv`.
    """
    if given is not None:
        for name, cells in zip(space.names, columns, strict=True):
            cells[:] = [new if old is None else old for new, old in zip(cells, given.get(name, cells), strict=True)]
    written = [[cell or column.missing for cell in cells] for column, cells in zip(space.in_file, columns, strict=True)]
    write_csv(path, [space.names, *zip(*written, strict=True)], space.separator, spreadsheet)
