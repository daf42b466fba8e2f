"""Arrays in numpy's files, whose headers may be wrong."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib.format import open_memmap

INFLATED = 1032  # largest expansion by deflate: bytes per compressed byte


def holds_arrays(path: Path) -> bool:
    """Whether a file holds numpy arrays, by its name.

    Args:
        path: The file.
    """
    return path.suffix.lower() in (".npy", ".npz")


def map_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, memory-mapped. A broken file raises many kinds of errors.

    Args:
        path: The file.
    """
    with path.open("rb") as opened:
        _check(path.name, *_header(opened), path.stat().st_size - opened.tell())
    return open_memmap(path, mode="r")


def _header(opened: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array in the format .npy."""
    first = np.lib.format.read_magic(opened) == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(opened)
    return shape, dtype


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], held: int) -> None:
    """Raise `ValueError` if a header states more bytes than there can be; `held` are those after the header."""
    stated = math.prod(shape) * dtype.itemsize
    if stated > held and not dtype.hasobject:
        raise ValueError(f"the header of {name} states an array of {stated:,} bytes, the file holds at most {held:,}")


@contextmanager
def _undamaged(name: str) -> Iterator[None]:
    """A context in which a member of an archive is read. Raises `ValueError` if its checksum is wrong."""
    try:
        yield
    except (BadZipFile, zlib.error) as error:
        raise ValueError(f"the checksum of {name} is wrong: the file is damaged") from error


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
                with _undamaged(member.filename), whole.open(member) as opened:
                    header, start = _header(opened), opened.tell()
                held = min(member.file_size, INFLATED * member.compress_size, INFLATED * path.stat().st_size)
                _check(member.filename, *header, held - start)
                self.headers[member.filename.removesuffix(".npy")] = header

    def __getitem__(self, name: str) -> np.ndarray:
        with _undamaged(f"{name}.npy"), np.load(self.path) as whole:
            return whole[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.headers)

    def __len__(self) -> int:
        return len(self.headers)
