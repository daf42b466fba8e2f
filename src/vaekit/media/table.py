"""Tables: CSV and parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data import table
from vaekit.media.figures import Headings
from vaekit.media.medium import Imputed, Medium, Names, Read, Write


class Table(Medium):
    """Rows of a table file with the run's columns, named by their number; written as CSV.

    The column of labels may be left out.
    """

    drawn = True

    def open(self, path: Path) -> tuple[Names, Read]:
        rows = table.encode(table.read_rows(path, self.space, table=self.table), self.space)
        x = torch.from_numpy(np.asarray(rows.x))
        label = None if rows.label is None else torch.from_numpy(rows.label)
        mask = None if rows.mask is None else torch.from_numpy(rows.mask).float()
        others = (label, mask)
        return range(len(x)), lambda part: Batch(x[part], *(None if each is None else each[part] for each in others))

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        self.write_labeled(path, x, columns, None)

    def write_labeled(
        self, path: Path, x: Tensor, columns: int, label: Tensor | None, headings: Headings = Headings()
    ) -> None:
        table.write(path.with_suffix(".csv"), x, self.space, label, self.spreadsheet)

    @property
    def set_writers(self) -> dict[str, Write]:
        return super().set_writers | {"table": self._write_set}

    def _write_set(self, folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
        """synthetic.csv: with the columns, order, written forms and categories of the original."""
        table.write(folder / "synthetic.csv", torch.from_numpy(x), self.space, label, self.spreadsheet)

    def write_imputed(self, folder: Path, imputed: Imputed) -> None:
        """imputed.csv and draw_1.csv, ...; cells of the source are kept. The mean is in units of the file."""
        given = None if imputed.source is None else table.read_rows(imputed.source, self.space, table=self.table)
        plain = {f"draw_{i}": self.space.in_units(each) for i, each in enumerate(imputed.draws, 1)}
        for name, each in {"imputed": imputed.mean, **plain}.items():
            table.write_cells(folder / f"{name}.csv", self.space.write(each), self.space, given, self.spreadsheet)
