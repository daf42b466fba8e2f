"""Rows in memory, of any container that has one of the usual protocols, as one of four forms."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from vaekit.data.cells import MISSING
from vaekit.in_memory import frames
from vaekit.refusal import Refusal

PROTOCOLS = ("__array__", "__array_interface__", "__dlpack__", "toarray")  # of arrays, images, and sparse matrices
EXPECTED = (
    "an array or tensor (of any library, by __array__ or __dlpack__), a table (of any library, by __arrow_c_stream__, "
    "or a dict of columns), or a list of arrays, images, sentences or files"
)


def convert(x: Any) -> Any:
    """Convert rows to one of the forms that `write` takes.

    Args:
        x: Rows: an array or tensor, by `__array__`, `__dlpack__` or `toarray`; a table, by `__arrow_c_stream__`, a dict
            of columns, or a list of dicts; a sequence or an iterator of arrays, images, sentences or files; a path.

    Returns:
        An array `[N, ...]`, a table of Arrow, a list of sentences, a list of paths, or a path. A `datasets.Dataset`,
        which writes itself, is unchanged.

    Raises:
        Refusal: For anything else, and rows that do not fit each other.

    Example:
        >>> convert(word for word in ("a b", "c d")), convert(np.array(["a b", "c d"]))
        (['a b', 'c d'], ['a b', 'c d'])
        >>> convert(torch.eye(2).to_sparse()).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    if isinstance(x, str | Path):
        return _path(x)
    if hasattr(x, "save_to_disk"):
        return x
    if frames.library(x) == "datasets":
        stream = f"x[{next(iter(x))!r}]" if isinstance(x, Mapping) else "x"
        raise Refusal(
            f"Got {_kind(x)}, whose rows are streamed, expected a datasets.Dataset. Try "
            f"datasets.Dataset.from_list(list({stream}.take(10_000)))."
        )
    if isinstance(x, Iterator):
        x = list(x)
    if isinstance(x, list) and x and all(isinstance(row, Mapping) for row in x):
        x = {name: [row.get(name) for row in x] for name in dict.fromkeys(name for row in x for name in row)}
    if isinstance(x, Mapping) or frames.is_frame(x):
        return frames.to_arrow(x)
    if isinstance(x, bytes) or not (isinstance(x, Sequence) or any(hasattr(x, each) for each in PROTOCOLS)):
        rows = "x.collect()" if hasattr(x, "collect") else "torch.stack([row[0] for row in x])"
        known = hasattr(x, "collect") or isinstance(x, data.Dataset)  # lazy, or read row by row
        raise Refusal(f"Got {_kind(x)}, expected {EXPECTED}.{f' Try {rows}.' if known else ''}")
    one_row = " Give one row of a DataFrame as df.iloc[[0]]." if frames.library(x) == "pandas" else ""
    if not isinstance(x, Sequence):
        x = _array(x)
    column = x.tolist() if isinstance(x, np.ndarray) and x.ndim == 1 else x
    if isinstance(column, Sequence) and any(isinstance(each, str | Path) for each in column):
        return _texts(column, one_row)
    return as_array(x)


def as_array(x: Any) -> np.ndarray:
    """Convert an array, or a sequence of arrays or Pillow images, to numbers.

    Args:
        x: `[N, ...]`.

    Returns:
        The same numbers; whole ones from 0 to 255 of images as bytes.

    Raises:
        Refusal: If they are not numbers of one shape.
    """
    try:
        rows = np.stack([_array(each) for each in x]) if isinstance(x, Sequence) and len(x) else _array(x)
        rows = rows.astype(float) if rows.dtype == object else rows  # None is missing: NaN
    except (ValueError, TypeError) as error:
        raise Refusal(f"Cannot make an array of numbers of {_kind(x)} ({error}), expected {EXPECTED}.") from error
    if rows.dtype.kind not in "buif" or rows.ndim == 0:
        raise Refusal(f"Got {_kind(x)} of {rows.dtype}, expected {EXPECTED}.")
    if not rows.size:
        raise Refusal(f"Got an array of shape {list(rows.shape)}, expected at least one row of numbers.")
    whole = rows.dtype.kind in "iu" and rows.ndim > 2 and rows.min() >= 0 and rows.max() <= 255
    return rows.astype(np.uint8) if whole else rows


class Labels(NamedTuple):
    """The classes of rows.

    Args:
        numbers: `[N]`, from 0; -1 where it is missing.
        names: Of the classes; none if they are numbers.
    """

    numbers: np.ndarray
    names: Sequence[str] = ()

    def texts(self) -> list[str | None]:
        """The class of each row as text; None where it is missing."""
        return [None if i < 0 else self.names[i] if self.names else str(i) for i in self.numbers.tolist()]


def as_labels(labels: Any, x: Any, rows: Any) -> Labels | str | None:
    """Convert labels to numbers of classes, with their names.

    Args:
        labels: The class of each row `[N]`: whole numbers from 0, text, booleans or categories; -1, NaN or None where
            it is missing. Or the name of a table's column.
        x: The rows of the user.
        rows: The same, as `convert` returns them.

    Returns:
        The labels; the name of the column as text; None for None.

    Raises:
        Refusal: If labels are not one class a row, or have another index than a DataFrame.

    Example:
        >>> as_labels(["dog", None, "cat"], torch.eye(3), np.eye(3)).names
        ['cat', 'dog']
    """
    columns = getattr(rows, "column_names", ())
    if isinstance(columns, Mapping):  # of each split
        columns = next(iter(columns.values()))
    if labels is None or (isinstance(labels, Hashable) and str(labels) in columns):
        return None if labels is None else str(labels)
    if isinstance(labels, str):
        expected = (
            f"one of the columns {', '.join(columns)}" if columns else "the class of each row, because x is not a table"
        )
        raise Refusal(f"Got labels={labels!r}, expected {expected}.")
    own, others = (getattr(each, "index", None) for each in (x, labels))  # of a list it is a method
    if hasattr(own, "equals") and hasattr(others, "equals") and not own.equals(others):  # type: ignore[union-attr]
        raise Refusal(
            "labels have another index than x. Try labels=y.to_numpy() if they are in its order, or "
            "labels=y.reindex(x.index)."
        )
    values = _array(labels)
    if values.shape != (len(rows),):
        raise Refusal(
            f"Got labels of shape {list(values.shape)} for {len(rows)} rows, expected one class a row, [{len(rows)}]."
        )
    known = np.array([str(each) not in MISSING for each in values.tolist()], dtype=bool)
    if any(isinstance(each, str) for each in values[known].tolist()):
        texts = [str(each) for each in values[known].tolist()]
        names, codes = np.unique(texts, return_inverse=True)
        numbers = np.full(len(values), -1)
        numbers[known] = codes
        return Labels(numbers, names.tolist())
    numbers = np.where(known, values, -1).astype(float)
    if (wrong := (numbers % 1 != 0) | (numbers < -1)).any():
        row = int(wrong.argmax())
        raise Refusal(
            f"labels[{row}] is {values[row]}, expected a class: a whole number from 0, text, or -1, NaN or None where "
            "it is missing."
        )
    return Labels(numbers.astype(np.int64))


def _array(x: Any) -> np.ndarray:
    if hasattr(x, "toarray"):  # sparse
        x = x.toarray()
    if isinstance(x, np.ma.MaskedArray):  # numpy.asarray would return the values under the mask
        return np.ma.filled(x.astype(float), np.nan)
    if not isinstance(x, Tensor):
        try:
            return np.asarray(x)
        except TypeError:  # on a GPU
            if not hasattr(x, "__dlpack__"):
                raise
            x = torch.from_dlpack(x)
    x = x.detach().cpu()
    x = x.to_dense() if x.layout != torch.strided else x
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def _texts(items: Sequence[Any], hint: str) -> list[str] | list[Path]:
    """Files if all exist, else sentences."""
    wrong = next((i for i, each in enumerate(items) if not isinstance(each, str | Path) or not str(each).strip()), None)
    if wrong is not None:
        raise Refusal(f"x[{wrong}] is {items[wrong]!r}, expected text, as other rows are. Leave it out.{hint}")
    files = map(_path, items)
    missing = next((file for file in files if not os.path.isfile(file)), None)  # Path.is_file raises for long text
    if missing is None:
        return list(map(_path, items))
    if any(isinstance(each, Path) for each in items):
        raise Refusal(f"There is no file {missing.absolute()}. Expected existing ones; correct the path.")
    return list(map(str, items))


def _path(x: str | Path) -> Path:
    return Path(os.path.expanduser(x))  # Path.expanduser raises for text such as "~ 5 men"


def _kind(x: Any) -> str:
    return f"{type(x).__module__}.{type(x).__name__}".removeprefix("builtins.")
