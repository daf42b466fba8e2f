"""Vectors: rows of numpy arrays, drawn as lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.coding.originals import load_array
from vaekit.data.npz import holds_arrays
from vaekit.media.figures import save_lines
from vaekit.media.medium import SHOWN, Medium, Names, Read, there
from vaekit.refusal import Refusal


class Real(Medium):
    """Rows in a .npy or .npz file (there the array "x", or the only one), named by their number.

    gap: what is drawn in the place of a missing value. filled: rows that are drawn of an imputation.
    """

    gap = math.nan
    filled = 8  # a panel each takes time

    def open(self, path: Path) -> tuple[Names, Read]:
        if not holds_arrays(path):
            raise Refusal(
                f"{path} is read as images, but this run's data have shape {list(self.space.shape)}; "
                f"save such rows by numpy.save and name that file, rows.npy."
            )
        rows = self.rows(path)
        return range(len(rows)), lambda part: Batch(self.fit(rows[part], path))

    def holed(self, path: str | Path) -> Batch:
        """In arrays, values that are NaN are missing."""
        path = there(path)
        if not holds_arrays(path):
            return super().holed(path)
        rows = self.rows(path)
        known = ~np.isnan(rows)
        return Batch(self.fit(np.where(known, rows, rows.dtype.type(0)), path), mask=torch.from_numpy(known).float())

    def rows(self, path: Path) -> np.ndarray:
        """The rows of a file, mapped where that can be."""
        held = load_array(path)
        fits = held.ndim == len(self.space.shape) + 1 and held.shape[1:] == self.space.shape and len(held) > 0
        if not fits or held.dtype.kind not in "buif":
            raise Refusal(
                f"{path} holds {held.dtype} of shape {list(held.shape)}, expected numbers of shape "
                f"[N, {', '.join(map(str, self.space.shape))}]; reshape it, and save it again."
            )
        return held

    def fit(self, x: np.ndarray, path: Path) -> Tensor:
        """Rows of a file in the data space. Raises `Refusal`, naming the file, for values that do not lie there."""
        values = torch.from_numpy(x.astype(np.float32))
        check(values, self.space, path)
        return values

    def write(self, path: Path, x: Tensor, columns: int) -> None:
        save_lines(path.with_suffix(".png"), first(x, columns), columns)

    def write_imputed(
        self, folder: Path, holed: Tensor, mean: Tensor, draws: Tensor, truth: Tensor | None, source: str | Path | None
    ) -> None:
        """Side by side: the row with its holes, its mean, some draws, and the truth."""
        shown = [holed.nan_to_num(self.gap), mean, *draws[:5], *([] if truth is None else [truth])]
        self.write(folder / "imputed", torch.stack(shown, 1)[: self.filled].flatten(0, 1), len(shown))


def check(values: Tensor, space: Any, path: Path) -> None:
    """Raise `Refusal`, naming the file, for values that do not lie in the space."""
    try:
        space.check(values)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None


def first(x: Tensor, columns: int) -> Tensor:
    """So many rows of panels as can be looked at."""
    return x[: max(1, SHOWN // columns) * columns]
