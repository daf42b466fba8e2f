"""The cells of table files: .csv (and .tsv, .txt, .data), and those of `vaekit.data.containers`."""

from __future__ import annotations

import csv
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np

from vaekit.data.containers import READERS
from vaekit.data.files import read_text
from vaekit.refusal import Refusal
from vaekit.spaces.column import WrongCell
from vaekit.written import readings

log = logging.getLogger(__name__)

MISSING = {
    "",
    "?",
    ".",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NaT",
    "NULL",
    "Null",
    "null",
    "None",
}
MISSING |= {"#N/A", "#NA", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"}  # Excel's
SEPARATORS = ",;\t|"
SPACES = re.compile(r'("[^"\n]*")|[ \t]+')
SAMPLE = 1000  # lines that show how a file is written
VALUE = re.compile(r"[^\w;|\t]*[0-9](?:[0-9.,:/' -]*[0-9])?[^\w;|\t]*")  # a number, or a date
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INDEX = ("", "Unnamed: 0")  # what pandas calls the column of its row numbers


class Cells(dict[str, list[str | None]]):
    """The cells of each column of a file by the name of the column; None where a cell is missing.

    Args:
        columns: Cells `[n]` of each column.
        path: The file.
        lines: Line number of each row; empty where the file has no lines.
        separator: The character between cells.
        headed: Whether the file has a line of names.

    Attributes:
        index: Names of rows, which are not a column.
        missing: How most missing cells of a column are written, by its name; columns without such cells have none.
    """

    def __init__(
        self,
        columns: Mapping[str, list[str | None]],
        path: Path,
        lines: Sequence[int] = (),
        separator: str = ",",
        headed: bool = True,
    ):
        super().__init__(columns)
        self.path, self.lines, self.separator, self.headed = path, lines, separator, headed
        self.index: Sequence[str] = ()
        self.missing: dict[str, str] = {}

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values())))

    def location(self, row: int) -> str:
        """Where a row is in the file: its line, or its number from 0 where the file has no lines.

        Args:
            row: The row, from 0.
        """
        return f"line {self.lines[row]}" if self.lines else f"row {row} (from 0)"

    @contextmanager
    def locating(self) -> Iterator[None]:
        """A context in which a `WrongCell` becomes a `Refusal` that names the file and the line."""
        try:
            yield
        except WrongCell as wrong:
            raise Refusal(f"{self.path}, {self.location(wrong.row)}, column {wrong.column!r}: {wrong.why}") from None


class Dialect(NamedTuple):
    """How a text file separates and quotes cells.

    Args:
        separator: One character; a space stands for any number of spaces and tabs.
        quote: The quotation mark.
        escape: The escape character; empty where quotes are doubled.
    """

    separator: str
    quote: str = '"'
    escape: str = ""

    def rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """The cells of each row, with the number of its last line. Raises `csv.Error`."""
        if self.separator == " ":
            text = "\n".join(SPACES.sub(lambda found: found[1] or "\t", line.strip()) for line in text.split("\n"))
        reader = csv.reader(
            StringIO(text, newline=""),
            delimiter="\t" if self.separator == " " else self.separator,
            quotechar=self.quote,
            escapechar=self.escape or None,
            skipinitialspace=self.separator != "\t",
            strict=True,
        )
        for row in reader:
            if row:
                yield reader.line_num, [cell.strip() for cell in row]


ONE_COLUMN = Dialect("\x1f")


def read(path: str | Path, columns: Sequence[str] | None = None, table: str | None = None) -> Cells:
    """The cells of a table file, stripped, None where they are missing.

    Args:
        path: The file; its suffix is one of `vaekit.data.containers.READERS`, or it is read as CSV.
        columns: Names of columns, for a file without a line of names.
        table: The table, or sheet, of a file with several.

    Raises:
        Refusal: If the file does not exist or cannot be read; the message names the line.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise Refusal(f"There is no file {path.absolute()}; name an existing .csv or .parquet file.")
    if (reader := READERS.get(path.suffix.lower())) is None:
        return _csv(path, columns)
    rows, names, lines = reader(path, table)
    if names is None:
        return _headed(path, [*rows], [*lines], columns)
    if not rows:
        raise Refusal(f"{path} is empty: it holds no rows; name a file that does.")
    return _cells(path, names, [*zip(*rows, strict=True)], lines)


def _csv(path: Path, columns: Sequence[str] | None) -> Cells:
    text, separator, above = _head(read_text(path))
    dialect = _dialect(text) if separator is None else Dialect(separator)
    lines: list[int] = []
    rows: list[Sequence[str]] = []
    try:
        for line, row in dialect.rows(text):
            lines.append(line + len(above))
            rows.append(row)
    except csv.Error as error:
        line = lines[-1] + 1 if lines else len(above) + 1
        raise Refusal(f"Cannot read {path}, line {line} ({error}); correct it, or save the file as CSV.") from error
    return _headed(path, rows, lines, columns, above, dialect)


def _headed(
    path: Path,
    rows: list[Sequence[str]],
    lines: list[int],
    columns: Sequence[str] | None,
    above: Sequence[str] = (),
    dialect: Dialect = ONE_COLUMN,
) -> Cells:
    """The cells of rows of which the first, or a comment above it, may be names."""
    if not rows:
        raise Refusal(f"{path} is empty; name another file.")
    if columns and not set(rows[0]) <= set(columns):
        names, headed = list(columns), False
    elif columns or _are_names(rows[0], rows[1:]):
        names, headed = [*rows.pop(0)], True
        lines.pop(0)
    elif len(commented := _commented(above, dialect)) == len(rows[0]):
        names, headed = commented, True
    else:
        number = next(cell for cell in rows[0] if NUMBER.fullmatch(cell))
        raise Refusal(
            f"{path}: the first line holds the number {number}, so it is not a line of names; add one to the file, "
            "or give them, of data=table, by data.columns=[a,b,...]."
        )
    if all(len(row) == len(names) + 1 for row in rows):
        if not any(row[-1] for row in rows):  # a separator at the end of each line
            rows = [row[:-1] for row in rows]
        elif headed and dialect.separator in " \t":  # R writes row names without a header
            names = ["", *names]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(names):
            raise Refusal(
                f"{path}, line {line}: got {len(row)} cells, expected {len(names)}, as many as there are columns; "
                "correct it, and separate cells by `,`, `;`, `|` or a tab."
            )
    if not rows:
        raise Refusal(f"{path} is empty: it holds no rows; name a file that does.")
    separator = "," if dialect is ONE_COLUMN else dialect.separator
    return _cells(path, names, [*zip(*rows, strict=True)], lines, separator, headed)


def _cells(path: Path, names: Sequence[str], columns: Sequence[Sequence[str]], *dialect: Any) -> Cells:
    """The cells without a nameless column of row names, and without a nameless and empty last column."""
    named = list(zip(names, columns, strict=True))
    index: Sequence[str] = ()
    if len(named) > 1 and named[-1][0] == "" and not any(named[-1][1]):
        named.pop()
    if len(named) > 1 and named[0][0] in INDEX and len(set(named[0][1])) == len(named[0][1]):
        log.warning("%s: the first column has no name and differs in every row; it is read as row names.", path)
        _, index = named.pop(0)
    names = [name for name, _ in named]
    if len(set(names)) < len(names) or "" in names:
        wrong = next(name for name in names if not name or names.count(name) > 1)
        raise Refusal(f"{path}: the column name {wrong!r} is empty or occurs twice; rename it in the file.")
    found = Cells({}, path, *dialect)
    found.index = index
    for name, each in named:
        words = MISSING
        if mark := _mark_of_missing(each):
            log.warning("%s: in column %r, %r is read as a missing cell.", path, name, mark)
            words = {*MISSING, mark}
        found[name] = [None if cell in words else cell for cell in each]
        if missing := [cell for cell in each if cell in words]:
            found.missing[name] = Counter(missing).most_common(1)[0][0]
    return found


def _mark_of_missing(cells: Sequence[str]) -> str | None:
    """The one cell without letters and digits in a column of numbers or dates, such as `-`."""
    distinct = {*cells} - MISSING
    marks = [cell for cell in distinct if not any(map(str.isalnum, cell))]
    if len(marks) != 1 or len(distinct) < 4:
        return None
    return marks[0] if readings([cell for cell in dict.fromkeys(cells) if cell in distinct - {*marks}]) else None


def _commented(above: Sequence[str], dialect: Dialect) -> list[str]:
    """The cells of the last line above a table, if it is a comment."""
    comment = above[-1].lstrip("# ") if above and above[-1].startswith("#") else ""
    return next((row for _, row in dialect.rows(comment)), [])


def _head(text: str) -> tuple[str, str | None, list[str]]:
    """The text without the lines above its table, the separator that Excel's `sep=;` declares, and those lines."""
    above: list[str] = []
    if said := re.match(r'"?sep=(.)"?\n', text):
        above.append(said[0])
    while not said and (comment := re.compile(r"#.*\n").match(text, sum(map(len, above)))):
        above.append(comment[0])
    return text[sum(map(len, above)) :], said[1] if said else None, above


def _dialect(text: str) -> Dialect:
    """The dialect of a text, inferred from its first lines.

    The separator is the one that splits most lines into equally many cells, and into the most numbers and dates.
    DuckDB's sniffer only determines the quotes: it skips lines that do not fit its separator.
    """
    head = "".join(islice(StringIO(text, newline=""), SAMPLE))
    first, *rest = head.split("\n")
    if not {*SEPARATORS} & {*first} and all(VALUE.fullmatch(each) and " " not in each for each in rest if each):
        return ONE_COLUMN  # of numbers: their marks are not separators
    scored = []
    for separator in (each for each in (*SEPARATORS, " ") if each in head):
        dialect = Dialect(separator, *_quotes(head, separator))
        rows: list[list[str]] = []
        with suppress(csv.Error):
            rows.extend(row for _, row in dialect.rows(head))
        if len(head) < len(text):
            rows = rows[:-1]  # whose row may continue
        (width, count), *_ = Counter(map(len, rows)).most_common(1) or [(0, 0)]
        alike, value = (
            count / max(1, len(rows)),
            float(np.mean([_value(each) for row in rows[1:] for each in row] or [0])),
        )
        if separator == " ":  # where half of the cells are not words
            headed = (
                width > 2 and count == len(rows) - 1 and len(rows[0]) == width - 1
            )  # R names the rows, and not their names
            columns = "\t" not in head or "  " in head  # or else the spaces stand in cells between tabs
            alike = float(value >= 0.75 and columns and (count == len(rows) or headed))
        if width > 1 and alike >= 0.5:
            scored.append((alike, value, dialect))
    return max(scored, key=lambda each: each[:2], default=(0, 0, ONE_COLUMN))[2]


def _value(cell: str) -> float:
    """How plausible a cell is: a number or a date, a text, or several cells."""
    return 1.0 if VALUE.fullmatch(cell) else 0.0 if re.search(rf"[{SEPARATORS}](?! )", cell) else 0.5


def _quotes(head: str, separator: str) -> tuple[str, str]:
    """Quote and escape of a text with this separator."""
    if not {"'", "\\"} & {*head} or separator == " ":
        return '"', ""
    with tempfile.TemporaryDirectory() as folder, suppress(duckdb.Error):
        path = Path(folder, "head.csv")
        path.write_text(head, encoding="utf-8", newline="")
        sniff = "SELECT Quote, Escape FROM sniff_csv(?, delim=?, all_varchar=true)"
        with duckdb.connect() as database:
            quote, escape = database.execute(sniff, [str(path), separator]).fetchall()[0]
        return quote if quote == "'" else '"', escape if escape == "\\" else ""
    return '"', ""


def _are_names(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is of names: without numbers, or with a word above numbers, or counting, as pandas names
    columns (or years).
    """
    places = [i for i, cell in enumerate(first) if NUMBER.fullmatch(cell)]
    words = [i for i, cell in enumerate(first) if i not in places and cell not in MISSING]
    under = ({row[i] for row in rows[:SAMPLE] if i < len(row)} - MISSING for i in words)
    if not places or any(each and all(map(NUMBER.fullmatch, each)) for each in under):
        return True
    found = [first[i] for i in places]
    if not all(map(str.isdecimal, found)) or any(int(b) - int(a) != 1 for a, b in pairwise(found)):
        return False
    below = [row[i] for row in rows[:SAMPLE] for i in places if i < len(row)]
    return (found[0] == "0" and len(found) > 2) or not all(each.isdecimal() or each in MISSING for each in below)
