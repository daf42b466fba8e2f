"""Series: CSV and parquet files with one row per time step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.csv_file import write_csv
from vaekit.data.series import Windows
from vaekit.data.series_file import read_series
from vaekit.media.figures import Headings, marker
from vaekit.media.medium import Medium, Names, Read, Write
from vaekit.media.plots import colors_of, save_panels
from vaekit.refusal import Refusal

START = 100.0  # the price before the first return
LINES, NAMED = 50, 20  # lines in a panel at most, and with a legend
GROUPS = 4  # rows of panels


class Series(Medium):
    """Windows of a .csv or .parquet file that has the run's series, named by the time of their last step.

    Written in units of the file, levels, or prices that start at 100: as CSV, one row per step of each path, and as a
    figure.
    """

    drawn = True

    def open(self, path: Path) -> tuple[Names, Read]:
        window = self.space.shape[1]
        times, _, values = read_series(path, self.space.returns, self.space.names, table=self.table)
        count = values.shape[1] - window + 1
        if count < 1:
            raise Refusal(
                f"{path} has {values.shape[1]} {'returns' if self.space.returns else 'levels'}, expected at least "
                f"{window}, the window of this run; name a longer file."
            )
        observed, begin = ~np.isnan(values), np.arange(count)
        x = Windows(torch.from_numpy(np.nan_to_num(self.space.standardise(values))).float(), begin, window)
        mask = None if observed.all() else Windows(torch.from_numpy(observed).float(), begin, window)
        rows = torch.arange(count)
        return times[window - 1 :], lambda part: Batch(x[rows[part]], mask=None if mask is None else mask[rows[part]])

    def paths(self, x: Tensor) -> Tensor:
        """Levels `[n, series, T]` of x, or prices `[n, series, 1 + T]`, whose first is `START`."""
        values = self.space.restore(x.cpu())
        if not self.space.returns:
            return values
        return START * torch.cat([torch.zeros_like(values[..., :1]), values.cumsum(-1)], -1).exp()

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        paths = self.paths(x)
        rows = [
            [n, step, *map(cell, row)] for n, each in enumerate(paths, 1) for step, row in enumerate(each.T.tolist())
        ]
        names = ["path", "step", *self.space.names]
        write_csv(path.with_suffix(".csv"), [names, *rows], spreadsheet=self.spreadsheet)
        self._draw(path.with_suffix(".png"), paths, headings)

    def _draw(self, path: Path, paths: Tensor, headings: Headings) -> None:
        """A panel for each series: of all paths, or of each of the first groups of paths that have headings."""
        unit = f"price, {START:g} at the start" if self.space.returns else "level"
        names = list(headings.columns) or list(headings.cells)[: len(paths)]
        named = 0 < len(names) <= NAMED
        groups = paths.unflatten(0, (-1, len(names)))[:GROUPS] if named else paths[None, :LINES]
        colors = colors_of(len(names), ordered=bool(headings.xlabel)) if named else [None] * len(groups[0])

        def lines(each: Tensor, legend: bool) -> Any:
            def draw(axis: Any) -> None:
                for line, color, name in zip(each, colors, names if named else [None] * len(each), strict=True):
                    axis.plot(line, linewidth=1 if named else 0.6, color=color, label=name, marker=marker(line))
                axis.set(xlabel="step", ylabel=unit)
                if legend:
                    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)

            return draw

        examples = headings.rows or [f"example {number}" for number in range(1, len(groups) + 1)]
        panels = {
            f"{name}, {row}" if len(groups) > 1 else name: lines(group[:, i], named and name == self.space.names[-1])
            for row, group in zip(examples, groups, strict=False)
            for i, name in enumerate(self.space.names)
        }
        title = f"{headings.title}\nlines: {headings.xlabel}" if headings.xlabel else headings.title
        save_panels(path, panels, title, columns=len(self.space.names))

    @property
    def set_writers(self) -> dict[str, Write]:
        return super().set_writers | {"series": self._write_set}

    def _write_set(self, folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
        """synthetic.csv: all windows in sequence. data=series with data.stride equal to data.window reads them back."""
        path = self.paths(torch.from_numpy(np.concatenate(x, 1))[None])[0]
        rows = [map(cell, row) for row in path.T.tolist()]
        write_csv(folder / "synthetic.csv", [self.space.names, *rows], spreadsheet=self.spreadsheet)


def cell(value: float) -> str:
    """A value as it is written to CSV files, in nine digits.

    Args:
        value: The number.
    """
    return f"{value:.9g}"
