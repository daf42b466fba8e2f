"""Vectors: rows of numpy arrays, drawn as lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.coding.originals import load_array
from vaekit.data.npz import holds_arrays
from vaekit.media.figures import Headings, save_lines
from vaekit.media.medium import SHOWN, Imputed, Medium, Names, Read, existing
from vaekit.refusal import Refusal

Rows = TypeVar("Rows", bound=Any)


class Real(Medium):
    """Rows of a .npy or .npz file, named by their number, drawn as lines.

    In an .npz file they are the array "x", or the only array.

    Attributes:
        gap: The value that is drawn for a missing one.
        filled: Largest number of rows in the picture of an imputation.
    """

    gap = math.nan
    filled = 8  # drawing panels takes time

    def open(self, path: Path) -> tuple[Names, Read]:
        if not holds_arrays(path):
            raise Refusal(
                f"{path} is read as images, but this run's data have shape {list(self.space.shape)}; "
                f"save such rows by numpy.save and name that file, rows.npy."
            )
        rows = self.rows(path)
        return range(len(rows)), lambda part: Batch(self.fit(rows[part], path))

    def read_incomplete(self, path: str | Path) -> Batch:
        """All examples; in arrays NaN is missing."""
        path = existing(path)
        if not holds_arrays(path):
            return super().read_incomplete(path)
        rows = self.rows(path)
        known = ~np.isnan(rows)
        return Batch(self.fit(np.where(known, rows, rows.dtype.type(0)), path), mask=torch.from_numpy(known).float())

    def rows(self, path: Path) -> np.ndarray:
        """The rows of a file, memory-mapped where possible."""
        held = load_array(path)
        fits = held.ndim == len(self.space.shape) + 1 and held.shape[1:] == self.space.shape and len(held) > 0
        if not fits or held.dtype.kind not in "buif":
            raise Refusal(
                f"{path} holds {held.dtype} of shape {list(held.shape)}, expected numbers of shape "
                f"[N, {', '.join(map(str, self.space.shape))}]; reshape it, and save it again."
            )
        return held

    def fit(self, x: np.ndarray, path: Path) -> Tensor:
        """Rows of a file in the data space. Raises `Refusal`, naming the file, for values outside of it."""
        values = torch.from_numpy(x.astype(np.float32))
        check(values, self.space, path)
        return values

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        save_lines(path.with_suffix(".png"), first(x, columns), columns, headings)

    def write_imputed(self, folder: Path, imputed: Imputed) -> None:
        """A row of panels for each of the first examples, see `imputed_panels`."""
        shown, headings = imputed_panels(imputed, self.gap, self.filled)
        self.write(folder / "imputed", shown.flatten(0, 1), shown.shape[1], headings)


def check(values: Tensor, space: Any, path: Path) -> None:
    """Check that values from a file are in the space.

    Args:
        values: `[N, *space.shape]`.
        space: The data space.
        path: The file, for the message.

    Raises:
        Refusal: If they are not.
    """
    try:
        space.check(values)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None


def imputed_panels(imputed: Imputed, gap: float, rows: int) -> tuple[Tensor, Headings]:
    """The panels of imputed rows `[rows, panels, *shape]`: observed values, mean, five draws at most, and the truth.

    Args:
        imputed: The examples.
        gap: The value that is drawn where one is missing.
        rows: Examples at most.
    """
    observed, mean, draws, truth, _ = imputed
    panels = {"observed": observed.nan_to_num(gap), "mean": mean}
    panels |= {f"draw {i}": each for i, each in enumerate(draws[:5], 1)}
    panels |= {} if truth is None else {"original": truth}
    shown = torch.stack([*panels.values()], 1)[:rows]
    names = [f"row {number}" for number in range(len(shown))]
    title = f"Imputed values: {len(shown)} of {len(mean):,} rows" if len(shown) < len(mean) else "Imputed values"
    return shown, Headings(title, [*panels], names)


def first(x: Rows, columns: int) -> Rows:
    """The first rows of panels, as many as a picture can show.

    Args:
        x: Panels.
        columns: Panels in a row.
    """
    return x[: max(1, SHOWN // columns) * columns]
