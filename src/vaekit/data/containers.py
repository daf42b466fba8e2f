"""Tables in other files than text: .parquet, .json and .jsonl, SQLite, Excel."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, time
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import duckdb
import numpy as np

from vaekit.data.files import read_text
from vaekit.overrides import typed
from vaekit.refusal import Refusal, reason

FILLED = 0.01  # fraction of cells below which rows do not have the same columns; bounds the memory of a small file
ROWS, COLUMNS = 1_048_576, 16_384  # largest sheet of Excel
INFLATED = 2**30  # bytes of an unpacked Excel file, at most
CELL = {True: "true", False: "false"}  # as DuckDB writes them


class Contents(NamedTuple):
    """The cells of a file as text, empty where they are missing.

    Args:
        rows: Cells `[n, columns]`.
        names: Of the columns; None if the first row may have them.
        lines: Line number of each row; empty where the file has no lines.
    """

    rows: Sequence[Sequence[str]]
    names: Sequence[str] | None = None
    lines: Sequence[int] = ()


def _parquet(path: Path, table: str | None) -> Contents:
    """The cells of a parquet file as DuckDB writes them as text."""
    try:
        with duckdb.connect() as database:
            found = database.execute("SELECT COLUMNS(*)::VARCHAR FROM read_parquet(?)", [str(path)]).fetchnumpy()
            schema = database.execute("SELECT name, num_children FROM parquet_schema(?)", [str(path)]).fetchall()
    except duckdb.Error as error:
        raise Refusal(f"Cannot read {path} as parquet ({error}); save it again, or as CSV.") from error
    columns = [[cell.strip() for cell in np.ma.filled(each, "").tolist()] for each in found.values()]
    names, inner = list[str](), 0  # DuckDB's own names differ where two columns differ only by case
    for name, children in schema[1:]:
        names += [] if inner else [name]
        inner += (children or 0) - bool(inner)
    return Contents([*zip(*columns, strict=True)], names)


def _json(path: Path, table: str | None) -> Contents:
    """Objects, one a line or in an array; numbers keep their written form."""
    text = read_text(path)
    # numbers stay text; lines end at a line feed only, because strings may hold other separators of lines
    decode = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).decode
    array = text.lstrip().startswith("[")
    parts = {1: text} if array else {n: line for n, line in enumerate(text.split("\n"), 1) if line.strip()}
    rows: list[Any] = []
    for line, part in parts.items():
        try:
            found = decode(part)
        except (json.JSONDecodeError, RecursionError) as error:
            at = line + getattr(error, "lineno", 1) - 1
            raise Refusal(
                f"Cannot read {path}, line {at} ({reason(error)}). Expected an object such as "
                '{"age": 31, "town": "Ulm"} on each line, or an array of them; correct it.'
            ) from error
        rows += found if array else [found]
    lines = () if array else [*parts]
    for number, row in enumerate(rows):
        place = f"row {number} (from 0)" if array else f"line {lines[number]}"
        if not isinstance(row, dict):
            raise Refusal(f'{path}, {place}: expected an object such as {{"age": 31}}, got {str(row)[:40]!r}.')
        if nested := next((name for name, cell in row.items() if isinstance(cell, dict | list)), None):
            raise Refusal(
                f"{path}, {place}, column {nested!r}: holds several values, expected a number or text. Store each in "
                "a column, or leave it out."
            )
    names = [*dict.fromkeys(name for row in rows for name in row)]
    return Contents(
        _filled(path, [{name: cell_text(cell) for name, cell in row.items()} for row in rows], names), names, lines
    )


def _sqlite(path: Path, table: str | None) -> Contents:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            database.execute("PRAGMA trusted_schema=OFF")
            found = database.execute(
                "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            )
            name = _chosen(path, table, [name for (name,) in found], "table")
            rows = database.execute(f"SELECT * FROM {_quoted(name)}")
            names = [each[0] for each in rows.description]
            return Contents([[cell_text(cell) for cell in row] for row in rows], names)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise Refusal(
            f"Cannot read {path} as SQLite ({reason(error)}); close or export it, for example as CSV."
        ) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _excel(path: Path, table: str | None) -> Contents:
    """The values that Excel stored last, also of formulas; of merged cells the first has the value."""
    try:
        openpyxl = import_module("openpyxl")
    except ImportError as error:
        raise Refusal("Excel files need the package openpyxl. Type: pip install '.[excel]'.") from error
    try:
        with ZipFile(path) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > INFLATED:
            raise Refusal(f"{path} holds {size / 2**30:.1f} GiB unpacked, expected at most 1; save it as CSV.")
        with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
            name = _chosen(path, table, [sheet.title for sheet in book.worksheets], "sheet")
            sheet = book[name]
            sheet.reset_dimensions()  # a file may state any
            found: list[dict[int, Any]] = []
            lines: list[int] = []
            for line, row in enumerate(sheet.iter_rows(values_only=True, max_row=ROWS), 1):
                if cells := {i: cell for i, cell in enumerate(row[:COLUMNS]) if cell is not None}:
                    found.append(cells)
                    lines.append(line)
    except Refusal:
        raise
    except Exception as error:  # of a file that is damaged, encrypted, or of another kind: nearly anything
        raise Refusal(
            f"Cannot read {path} as Excel ({reason(error)}). Expected an .xlsx file without a password; save it as CSV."
        ) from error
    width = max((max(row) + 1 for row in found), default=0)
    for i in range(width):  # a date is stored as its midnight
        column = [row[i] for row in found if isinstance(row.get(i), datetime)]
        if all(each.time() == time() for each in column):
            for row in found:
                if isinstance(row.get(i), datetime):
                    row[i] = row[i].date()
    texts = [{i: cell_text(cell) for i, cell in row.items()} for row in found]
    return Contents(_filled(path, texts, range(width)), None, lines)


READERS: dict[str, Callable[[Path, str | None], Contents]] = {
    ".parquet": _parquet,
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), _json),
    **dict.fromkeys((".sqlite", ".sqlite3", ".db"), _sqlite),
    **dict.fromkeys((".xlsx", ".xlsm"), _excel),
}


def cell_text(cell: Any) -> str:
    """A value as the text of a cell.

    Args:
        cell: A number, text, a date, or None.

    Example:
        >>> cell_text(True), cell_text(1.5), cell_text(None)
        ('true', '1.5', '')
    """
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        raise sqlite3.DataError("a cell holds bytes, expected a number or text")
    return CELL[bool(cell)] if isinstance(cell, bool | np.bool_) else str(cell).strip()


def _filled(path: Path, rows: Sequence[Mapping[Any, str]], names: Sequence[Any]) -> list[list[str]]:
    """Rows with an empty cell for each missing name."""
    if sum(map(len, rows)) < FILLED * len(rows) * len(names):
        raise Refusal(
            f"{path}: {len(rows)} rows have {len(names)} columns in all, of which each has few; expected rows with "
            "the same columns. Store each kind of row in a file."
        )
    return [[row.get(name, "") for name in names] for row in rows]


def _chosen(path: Path, table: str | None, names: Sequence[str], kind: str) -> str:
    """The table or sheet that the setting names, or the only one."""
    if table in names or (table is None and len(names) == 1):
        return table or names[0]
    if not names:
        raise Refusal(f"{path} holds no {kind}; name another file.")
    wrong = f"has no {kind} {table!r}" if table is not None else f"has {len(names)} {kind}s"
    raise Refusal(f"{path} {wrong}, expected one of {', '.join(names)}. Try {typed('data.table', names[0])}.")
