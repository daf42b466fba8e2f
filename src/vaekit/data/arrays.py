"""Array files: .npy, .npz, .pt."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from vaekit.data.cache import cached, fingerprint
from vaekit.data.files import PARTS
from vaekit.data.npz import Npz, map_npy
from vaekit.data.source import Rows, Source, Split, holds_bits
from vaekit.refusal import Refusal, reason
from vaekit.spaces import Image, Real, Space

# usual names of arrays, before or after the name of a split; the first one that exists is used
WORDS = {
    "rows": ("x", "images", "image", "imgs", "data", "features", "inputs", ""),
    "label": ("y", "labels", "label", "targets", "target", "classes"),
    "condition": ("condition",),
}
CLASS_NAMES = "class_names"  # array of text
NUMERIC = "buif"  # kinds of numpy dtypes that are numbers
COARSE = 0.01  # largest rounding error of a column, in standard deviations

log = logging.getLogger(__name__)


class Arrays(Source):
    """Rows of one file: an array in .npy, or named arrays in .npz or .pt (a tensor or a dict of tensors).

    Two axes are vectors; three are gray images `[N, H, W]`; four are images with 1 or 3 channels, first or last. Images
    are uint8 (256 levels), bool (2 levels) or floats in [0, 1] (continuous). NaN is a missing value: the row's mask is
    0 for it. Names such as x_train, X_test, trainY, or MedMNIST's, give official splits and labels; a validation split
    is part of the training rows. Labels that are not classes are ignored; an array `class_names` of text names classes.

    Args:
        path: A .npy, .npz, .pt or .pth file.
        key: Name of the array of rows; None for the first of the usual names.
        cache: Folder of decoded rows, see `cached`.

    Raises:
        Refusal: If the file or the array does not exist, values are of another kind, or the numbers of labels or
            conditions differ from the number of rows.
    """

    suffixes = (".npy", ".npz", ".pt", ".pth")

    def __init__(self, path: str | Path | None, key: str | None = None, cache: str | Path | None = None):
        if path is None:
            raise Refusal("data.path is not set; name a .npy, .npz or .pt file, for example data.path=rows.npz.")
        self.path, self.key, self.cache = Path(path).expanduser(), key, cache
        self.name = self.path.stem

    @cached_property
    def space(self) -> Space:
        return self._space(self._name("train"))

    def classes(self) -> dict[str, int]:
        shape, dtype = self._headers.get(CLASS_NAMES, ((), np.dtype(float)))
        if len(shape) != 1 or dtype.kind != "U":
            return {}
        return {name: label for label, name in enumerate(self._read(_open(self.path), CLASS_NAMES).tolist())}

    def load(self, split: Split) -> Rows | None:
        parts = [part for part in (("train", "val") if split == "train" else ("test",)) if self._name(part)]
        if not parts:
            return None
        for part in parts:
            if self._space(self._name(part)) != self.space:
                raise Refusal(f"{self._of(part)} and {self._of('train')} differ in shape or dtype; save them alike.")
        if (rows := self._mapped_rows()) is not None:
            return Rows(rows)
        options = hashlib.sha256(f"{self.path.absolute()} {self.key}".encode()).hexdigest()[:8]
        stamp = fingerprint([self.path])
        return Rows(**cached(self.cache, f"{self.name}-{options}-{split}", stamp, lambda f: self._build(parts, f)))

    @cached_property
    def _headers(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and dtype of every array in the file."""
        file = _open(self.path)
        return file.headers if isinstance(file, Npz) else {name: (x.shape, x.dtype) for name, x in file.items()}

    def _name(self, part: str) -> str:
        """The name of a part's rows in the file; empty if it has none."""
        names = [name for name, (_, dtype) in self._headers.items() if dtype.kind in NUMERIC]
        if self.key is not None:
            found = self.key if part == "train" and self.key in names else ""
        else:
            found = names[0] if part == "train" and len(names) == 1 else _find(names, "rows", part)
        if part == "train" and not found:
            held = names or [f"{name!r} of {dtype}" for name, (_, dtype) in self._headers.items()] or ["nothing"]
            raise Refusal(
                f"{self.path} holds {', '.join(held)}, expected "
                f"{self.key or 'numbers called x or x_train, images or train_images'}; name the array by data.key=NAME."
            )
        return found

    def _of(self, part: str) -> str:
        return f"{self._name(part)!r} in {self.path}"

    def _space(self, name: str) -> Space:
        shape, dtype = self._headers[name]
        if len(shape) not in (2, 3, 4) or 0 in shape:
            raise Refusal(
                f"{name!r} in {self.path} has shape {list(shape)}, expected vectors [N, D], gray images [N, H, W] or "
                f"images with 1 or 3 channels; reshape it, or name another array by data.key=NAME."
            )
        if len(shape) == 2:
            return Real((shape[1],))
        if dtype != np.uint8 and dtype.kind not in "bf":
            raise Refusal(
                f"{name!r} in {self.path} holds images of {dtype}, expected uint8, bool, or floats from 0 to 1; "
                f"save {_to_unit(_open(self.path)[name])}."
            )
        levels = {"b": 2, "u": 256}.get(dtype.kind)
        if len(shape) == 3:
            return Image((1, *shape[1:]), levels)
        channel = self._channel_axis(shape)
        return Image((shape[channel], *(size for axis, size in enumerate(shape[1:], 1) if axis != channel)), levels)

    def _channel_axis(self, shape: tuple[int, ...]) -> int:
        axes = [axis for axis in (1, 3) if shape[axis] in (1, 3)]
        if len(axes) != 1:
            raise Refusal(
                f"{self.path} has images of shape {list(shape)}, in which the axis of channels (1 or 3, first "
                f"or last) is not unique; save them as [N, C, H, W] with 1 or 3 channels."
            )
        return axes[0]

    def _mapped_rows(self) -> np.ndarray | None:
        """The memory-mapped rows of a .npy file in the layout of a cache, so that no copy is needed; else None."""
        if self.path.suffix.lower() != ".npy" or self.space.bins is None:
            return None
        x = np.load(self.path, mmap_mode="c")
        if not x.flags.c_contiguous or (x.ndim == 4 and self._channel_axis(x.shape) == 3):
            return None
        x = x.view(np.uint8).reshape(-1, *self.space.shape)
        self._refuse_bits_in_bytes(x)
        return x

    def _refuse_bits_in_bytes(self, x: np.ndarray) -> None:
        if self.space.bins == 256 and holds_bits(x):
            raise Refusal(
                f"{self.path} holds only 0 and 1 as uint8, which stands for 256 gray values. Save x.astype(bool)."
            )

    def _build(self, parts: list[str], folder: Path) -> None:
        file = _open(self.path)
        arrays = [self._read(file, self._name(part)) for part in parts]
        space, total = self.space, sum(map(len, arrays))
        dtype = np.float32 if space.bins is None else np.uint8
        x = open_memmap(folder / "x.npy", mode="w+", dtype=dtype, shape=(total, *space.shape))
        mask, row, coarse = None, 0, np.zeros(space.shape, np.bool_)
        for array in arrays:
            for block in (array[start : start + 4096] for start in range(0, len(array), 4096)):
                if block.ndim == 4 and self._channel_axis(array.shape) == 3:
                    block = np.moveaxis(block, 3, 1)
                whole = block.reshape(-1, *space.shape)
                with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused
                    block = whole.astype(dtype)
                if isinstance(space, Real):
                    coarse |= _is_coarse(whole, block)
                rows = slice(row, row + len(block))
                if space.bins is None:
                    missing = np.isnan(block)
                    if missing.any():
                        block[missing] = 0
                        if mask is None:
                            mask = open_memmap(folder / "mask.npy", mode="w+", dtype=np.bool_, shape=x.shape)
                            mask[:] = True
                        mask[rows] = ~missing
                    self._check(block, array)
                x[rows] = block
                row = rows.stop
        self._refuse_bits_in_bytes(x)
        if coarse.any():
            column = int(coarse.argmax())
            raise Refusal(
                f"{self._of(parts[0])}: column {column} (from 0) of {dtype.__name__} would lose its differences, which "
                "are small relative to its values. Subtract the mean of each column: save x - x.mean(0)."
            )
        if mask is not None and not mask.any():
            raise Refusal(
                f"{self._of(parts[0])} holds only missing values (NaN); name another array by data.path=FILE or "
                "data.key=NAME."
            )
        for kind in ("condition", "label"):
            columns = [each for part in parts if (each := self._column(file, kind, part)) is not None]
            if len(columns) == len(parts):
                np.save(folder / f"{kind}.npy", np.concatenate(columns))

    def _read(self, file: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        with _reading(self.path):
            return file[name]

    def _column(self, file: Mapping[str, np.ndarray], kind: str, part: str) -> np.ndarray | None:
        """The condition `[n, F]` or the label `[n]` of the n rows of a part; None where the file has none."""
        if not (name := _find(self._headers, kind, part)):
            return None
        (shape, dtype), count = self._headers[name], self._headers[self._name(part)][0][0]
        numeric = dtype.kind in NUMERIC
        if shape[:1] != (count,) or (kind == "condition" and not numeric):
            raise Refusal(
                f"{name!r} in {self.path} has shape {list(shape)} and dtype {dtype}, expected numbers for each of the "
                f"{count} rows of {self._name(part)!r}; correct it, or save the file without {name!r}."
            )
        if kind == "condition":
            condition = self._read(file, name).astype(np.float32).reshape(count, -1)
            if not np.isfinite(condition).all():
                raise Refusal(
                    f"{name!r} in {self.path} holds NaN or infinite values, expected finite ones. Replace them, or "
                    "drop those rows."
                )
            return condition
        if numeric and math.prod(shape) == count:
            values = self._read(file, name)
            with np.errstate(invalid="ignore"):
                whole = values.astype(np.int64)
            if np.array_equal(values, whole) and whole.min() >= -1:
                if missing := (whole < 0).sum():
                    log.info(f"{self.path}: {missing:,} of {count:,} labels in {name!r} are missing (-1).")
                return whole.reshape(count)
        numbers = "y.argmax(1)" if numeric and len(shape) == 2 else "numpy.unique(y, return_inverse=True)[1]"
        log.info(
            f"{self.path}: {name!r} is ignored, because it does not hold one class (a whole number) per row. If it "
            f"holds classes in another form, save {numbers}."
        )
        return None

    def _check(self, block: np.ndarray, array: np.ndarray) -> None:
        if np.isinf(block).any():
            raise Refusal(
                f"{self.path} holds infinite values, expected finite ones; drop those rows, or set the values to NaN."
            )
        if isinstance(self.space, Image) and not 0 <= block.min() <= block.max() <= 1:
            raise Refusal(
                f"{self.path} holds images with values from {block.min():.9g} to {block.max():.9g}, expected 0 to 1; "
                f"save {_to_unit(array)}."
            )


def _find(names: Iterable[str], kind: str, part: str) -> str:
    """The first name that stands for this kind of array of a part: x_train, X_train, trainX, train-images.

    A name without a part stands for the training rows. Empty if there is none.
    """
    plain = {re.sub(r"[\W_]", "", name.lower()): name for name in reversed(list(names))}
    splits = (*PARTS[part], "") if part == "train" else PARTS[part]
    wanted = (each for split in splits for word in WORDS[kind] for each in (word + split, split + word) if each)
    return next((plain[each] for each in wanted if each in plain), "")


def _is_coarse(x: np.ndarray, rounded: np.ndarray) -> np.ndarray:
    """Which columns `[D]` of rows `[N, D]` rounding changes by more than `COARSE` of their standard deviation."""
    known = np.ma.masked_invalid(x.astype(np.float64))
    deviation, largest = known.std(0).filled(0), np.abs(known).max(0).filled(0)
    error = np.abs(known - rounded).max(0).filled(0)
    return (error > COARSE * deviation) & (deviation > 1e-12 * largest)  # not those of one value


def _to_unit(x: np.ndarray) -> str:
    """What to type for images x that are neither levels nor in [0, 1]; NaN in x are missing.

    Whole numbers up to 255 are gray values, or if none is above 127, levels of a coarser scale, whose largest is white.
    Larger ones are divided by the largest value of as many bits as they need. The range from -1 to 1 is shifted and
    halved.
    """
    known = x[~np.isnan(x)].astype(np.float64)
    least, most = float(known.min()), float(known.max())
    if least >= 0 and most <= 255 and known.size == x.size and np.array_equal(known, known.round()):
        coarse = f"(x / {most:g}).astype('float32')"
        return "x.astype(bool)" if most <= 1 else coarse if most <= 127 else "x.astype('uint8')"
    if least >= 0:
        bright = most if most < 2 else 2 ** math.ceil(most).bit_length() - 1
        return f"(x / {bright}).astype('float32')"
    if least >= -1 and most <= 1:
        return "(x + 1) / 2"
    return f"((x - {least!r}) / {most - least!r}).clip(0, 1)"


def _open(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of a file by name, read on access."""
    if not path.is_file():
        raise Refusal(f"There is no file {path.absolute()}; name a .npy, .npz or .pt file by data.path=FILE.")
    with _reading(path):
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return {"x": map_npy(path)}
        if suffix == ".npz":
            return Npz(path)
        if suffix in (".pt", ".pth"):
            held = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
            if not isinstance(held, torch.Tensor | Mapping):
                raise ValueError(f"a {type(held).__name__}")
            tensors = held if isinstance(held, Mapping) else {"x": held}
            tensors = {str(name): each for name, each in tensors.items() if isinstance(each, torch.Tensor)}
            if any(each.nbytes > path.stat().st_size for each in tensors.values()):  # one value, expanded without end
                raise ValueError("expanded tensors")
            return {name: _array(each) for name, each in tensors.items()}
    raise Refusal(f"Got data.path={path}, expected a .npy, .npz or .pt file; save it again by numpy.savez.")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """A context that turns whatever numpy or torch raises on a broken file into a `Refusal`."""
    try:
        yield
    except Exception as error:  # includes MemoryError for a false header
        pickled = isinstance(error, UnpicklingError)  # torch would advise to run the code in the file
        why = "it holds Python objects other than tensors" if pickled else reason(error).partition(". ")[0]
        raise Refusal(
            f"Cannot read {path} ({why}): expected a numeric array, or several by name; save it again, by "
            "numpy.savez or torch.save of a dict."
        ) from error


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A tensor as an array; bfloat16 and floats of 8 bits, which numpy lacks, as float32."""
    lacking = tensor.dtype == torch.bfloat16 or (tensor.is_floating_point() and tensor.itemsize == 1)
    return (tensor.float() if lacking else tensor).detach().numpy()
