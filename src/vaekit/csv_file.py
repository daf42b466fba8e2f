"""The CSV files of tasks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FORMULA = re.compile(r"[=@\t\r\n＝＋－＠]|[+-](?![\d.,]+(?:[eE][+-]?\d+)?%?$)")  # noqa: RUF001
"""How a cell begins that a spreadsheet runs, less numbers."""


def write_csv(path: Path, rows: Iterable[Iterable[Any]], separator: str = ",", spreadsheet: bool = False) -> None:
    """Write a CSV file in UTF-8. The first row names the columns.

    Args:
        path: The file.
        rows: Rows of cells.
        separator: Character between two cells.
        spreadsheet: Write an apostrophe before each text that a spreadsheet would run as a formula, and quote all
            cells, so that a spreadsheet with another separator does not split them. False writes cells as they are.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from vaekit.csv_file import write_csv
        >>> write_csv(file := Path(mkdtemp(), "a.csv"), [["row", "elbo"], [0, -91.5]])
        >>> file.read_text().split()
        ['row,elbo', '0,-91.5']
    """

    def plain(cell: Any) -> Any:
        return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(
            file,
            delimiter=separator,
            lineterminator="\n",
            quoting=csv.QUOTE_ALL if spreadsheet else csv.QUOTE_MINIMAL,
        )
        writer.writerows(map(plain, row) if spreadsheet else row for row in rows)
