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
    """Write rows of cells in UTF-8. The first row names the columns.

    spreadsheet: put an apostrophe before each text that a spreadsheet would run as a formula, and quote all cells, so
    that a spreadsheet with another separator splits none of them. False writes cells as they are.
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
