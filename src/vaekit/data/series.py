"""Time series, one per column of a file, cut into windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from vaekit.data.series_file import Table, read_series
from vaekit.data.source import Rows, Source, Split
from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.spaces import Series as Space

VALUES = ("returns", "levels")


class Windows:
    """Windows of series, cut on access: `[B, series, window]`.

    Args:
        series: `[series, T]`.
        starts: First step of each window, `[N]`.
        window: Steps of a window.

    Example:
        >>> import numpy as np, torch
        >>> from vaekit.data.series import Windows
        >>> Windows(torch.arange(6)[None], np.array([0, 2]), 3)[torch.tensor([1])]
        tensor([[[2, 3, 4]]])
    """

    def __init__(self, series: Tensor, starts: np.ndarray, window: int):
        self.series, self.starts, self.steps = series, torch.from_numpy(starts), torch.arange(window)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.series[:, self.starts[rows, None] + self.steps].transpose(0, 1)


class Series(Source):
    """The numeric columns of a .csv or .parquet file, one row per time step, in windows.

    Split by time: the last steps are the test, those before them the validation, and no window crosses an edge. Each
    series is standardized by mean and standard deviation of the steps before the validation. Empty cells, `?`, `.`,
    `NA` and `NaN` are missing: the mask is 0 for them, and for both returns next to a missing price.

    Args:
        path: The file.
        window: Steps of a window.
        stride: Steps from the start of a window to that of the next.
        values: `returns` (log-returns, of prices) or `levels`.
        columns: Names of the series; None for all numeric columns. Of open, high, low and close only the close is used.
        time: The column of times; a column of days is joined with one of times of day. None for the first column of
            dates, the columns named year, month, ..., or else the first column if its whole numbers only rise or only
            fall.
        validation: Number (int) or fraction (float) of the steps.
        test: Number (int) or fraction (float) of the steps.
        table: The table, or sheet, of a file with several.

    Raises:
        Refusal: If a cell cannot be read or a split is shorter than a window; the message names file, line and column.
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
        table: str | None = None,
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
        self.name, self._named = self.path.stem, table

    @cached_property
    def table(self) -> Table:
        return read_series(self.path, self.values == "returns", self.columns, self.time, self._named)

    def _refuse(self, unusable: np.ndarray, why: str) -> NoReturn:
        times, names, _ = self.table
        others = [name for name, out in zip(names, unusable, strict=True) if not out]
        advice = f"leave it out, by {typed('data.columns', others)}" if others else "name another file"
        raise Refusal(
            f"{self.path}: column {names[unusable.argmax()]!r} {why} before the validation rows, which begin at "
            f"{times[self._edges[0]]}; {advice}."
        )

    @cached_property
    def space(self) -> Space:
        _, names, values = self.table
        training = values[:, : self._edges[0]]
        if (few := (~np.isnan(training)).sum(1) < 2).any():
            self._refuse(few, "has fewer than two values")
        mean, deviation = np.nanmean(training, 1), np.nanstd(training, 1)
        if (constant := deviation < 1e-12 * (1 + np.abs(mean))).any():
            self._refuse(constant, "is constant")
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
                    "longer file, or other fractions, data.validation=0.2 data.test=0.2."
                )
        return edges

    def load(self, split: Split) -> Rows:
        series = self.space.standardise(self.table.values)
        observed, x = ~np.isnan(series), torch.from_numpy(np.nan_to_num(series).astype(np.float32))
        first, second, last = self._edges
        parts = [(0, first), (first, second)] if split == "train" else [(second, last)]
        starts = [np.arange(low, high - self.window + 1, self.stride) for low, high in parts]
        begin = np.concatenate(starts)
        mask = (
            None
            if observed.all()
            else Windows(torch.from_numpy(observed), begin, self.window)[torch.arange(len(begin))]
        )
        return Rows(
            Windows(x, begin, self.window),
            mask=None if mask is None else mask.numpy(),
            validation=len(starts[-1]) if split == "train" else None,
        )
