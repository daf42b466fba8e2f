"""Arrays in numpy's files, whose headers may be wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

INFLATED = 1032  # largest expansion by deflate: bytes per compressed byte


def holds_arrays(path: Path) -> bool:
    """Whether a file holds numpy arrays, by its name.

    Args:
        path: The file.
    """
    return path.suffix.lower() in (".npy", ".npz")


class Npz(Mapping[str, np.ndarray]):
    """The arrays in an .npz file by name, each read on access.

    A broken file raises many kinds of errors, at once or on reading.

    Args:
        path: The file.

    Attributes:
        headers: Shape and dtype of each array, as the file states them, checked against its size.
    """

    def __init__(self, path: Path):
        self.path, self.headers = path, dict[str, tuple[tuple[int, ...], np.dtype[Any]]]()
        with ZipFile(path) as whole:
            for member in whole.infolist():
                if not member.filename.endswith(".npy"):
                    continue
                with whole.open(member) as opened:
                    first = np.lib.format.read_magic(opened) == (1, 0)
                    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
                    shape, _, dtype = read(opened)
                held = min(member.file_size, INFLATED * member.compress_size, INFLATED * path.stat().st_size)
                if math.prod(shape) * dtype.itemsize > held and not dtype.hasobject:
                    raise ValueError(f"{member.filename} is declared as {dtype} of shape {list(shape)}")
                self.headers[member.filename.removesuffix(".npy")] = (shape, dtype)

    def __getitem__(self, name: str) -> np.ndarray:
        with np.load(self.path) as whole:
            return whole[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.headers)

    def __len__(self) -> int:
        return len(self.headers)
