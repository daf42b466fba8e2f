"""Examples that a user brings: image files and arrays, into a run's data space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaekit.coding.originals import load_array
from vaekit.data.decode import read_image
from vaekit.data.image_folder import SUFFIXES
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real

Read = Callable[[slice], Tensor]


def open_input(path: str | Path, space: Real) -> tuple[Sequence[str] | Sequence[int], Read]:
    """The names of the examples at `path`, and what reads a slice of them: `[n, *space.shape]`, in the data space.

    path: an image file, a folder of them (also in sub-folders), or rows in a .npy or .npz file (there the array "x",
        or the only one). Image files are named by their path in the folder, rows by their number.
    Raises `Refusal` where there is nothing to read, and on reading for what does not fit the space.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise Refusal(f"There is no file or folder {path.absolute()}; name an image, a folder of them, or rows.npy.")
    if path.suffix in (".npy", ".npz"):
        rows = open_rows(path, space)
        return range(len(rows)), lambda part: to_space(rows[part], space, path)
    if not isinstance(space, Image) or space.shape[0] not in (1, 3):
        raise Refusal(
            f"{path} is read as images, but this run's data have shape {list(space.shape)}; "
            f"save such rows by numpy.save and name that file, rows.npy."
        )
    if path.is_file():
        return [path.name], lambda part: to_space(_read_image(path, space)[None], space, path)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise Refusal(f"There are no images ({' '.join(sorted(SUFFIXES))}) in {path}; name a folder that has some.")
    names = [str(file.relative_to(path)) for file in files]
    return names, lambda part: to_space(np.stack([_read_image(file, space) for file in files[part]]), space, path)


def read_one(path: str | Path, space: Real) -> Tensor:
    """The one example in a file, `[1, *space.shape]`. Raises `Refusal` as `open_input` does, or if there are more."""
    names, read = open_input(path, space)
    if len(names) != 1:
        raise Refusal(f"{path} holds {len(names)} examples, expected one; name an image file, or save one row alone.")
    return read(slice(1))


def to_space(x: np.ndarray, space: Real, path: Path) -> Tensor:
    """Rows `[n, *space.shape]` to the data space; uint8 images hold grey values up to 255, all else lies there already.

    What lies between the levels is rounded, in binary spaces to 1 from one half up; dequantised spaces take a grey
    value at the middle of its level.
    """
    values, grey = torch.from_numpy(x.astype(np.float32)), isinstance(space, Image) and x.dtype == np.uint8
    if grey:
        values /= 255
    try:
        (replace(space, levels=None) if isinstance(space, Image) else space).check(values)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None
    if isinstance(space, Image) and space.levels is not None and (grey or not space.dequantized):
        level = (values * (space.levels - 1) + 0.5).floor()
        return (level + 0.5) / space.levels if space.dequantized else level / (space.levels - 1)
    return values


def _read_image(file: Path, space: Image) -> np.ndarray:
    channels, height, width = space.shape
    try:
        return read_image(file, channels, (height, width))
    except Exception as error:
        raise Refusal(f"Cannot read {file} as an image ({error}); remove it, or save it again as PNG.") from error


def open_rows(path: Path, space: Real) -> np.ndarray:
    """The rows of a .npy or .npz file, mapped where that can be."""
    held = load_array(path)
    fits = held.ndim == len(space.shape) + 1 and held.shape[1:] == space.shape and len(held) > 0
    if not fits or held.dtype.kind not in "buif":
        raise Refusal(
            f"{path} holds {held.dtype} of shape {list(held.shape)}, expected numbers of shape "
            f"[N, {', '.join(map(str, space.shape))}]; reshape it, and save it again."
        )
    return held
