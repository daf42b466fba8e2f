"""The base class of data sets, and the rows of a split."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from torch import Tensor

from vaekit.spaces import Space

Split = Literal["train", "test"]


class GeneratedRows(Protocol):
    """Rows generated on access."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Tensor:
        """`[B, *space.shape]`, of the row numbers `[B]`."""


@dataclass(frozen=True)
class Rows:
    """The rows of one split, usually memory-mapped.

    Args:
        x: `[N, *space.shape]`: uint8 for gray levels 0 .. levels - 1, float32 for continuous values.
        label: `[N]`, or `[N, F]` for F factors, integers.
        mask: bool, of the shape of `x`, true where observed.
        condition: `[N, ...]`, float32, what the model is conditioned on other than a label.
        validation: Number of rows at the end that form the data set's own validation split; None to split at random.
    """

    x: np.ndarray | GeneratedRows
    label: np.ndarray | None = None
    mask: np.ndarray | None = None
    condition: np.ndarray | None = None
    validation: int | None = None

    def __len__(self) -> int:
        return len(self.x)


def holds_bits(x: np.ndarray) -> bool:
    """Whether no value of x is above 1. It reads block by block, and stops at the first larger value.

    Args:
        x: `[N, ...]`.
    """
    return all(x[start : start + 4096].max() <= 1 for start in range(0, len(x), 4096))


class Source:
    """A data set. Its constructor reads nothing; `space` reads only headers, or values where headers do not suffice.

    Attributes:
        name: For figures and messages.
        cache: Folder of arrays made of the data.
        factors: Names of the factors, where each row has several labels.
        suffixes: Of the files that it reads, in lower case.
    """

    name: str
    cache: str | Path | None = None  # the folder that arrays made of the data are kept in
    factors: Sequence[str] = ()  # the names of the factors, where each row has several labels
    suffixes: Collection[str] = ()

    @property
    def space(self) -> Space:
        """The space of the raw rows."""
        raise NotImplementedError

    def load(self, split: Split) -> Rows | None:
        """The rows of `split`; None for "test" where the data set comes without an official test split."""
        raise NotImplementedError

    def classes(self) -> dict[str, int]:
        """The label of each class by its name; none where classes have no names."""
        return {}
