"""What a data set is to the rest of vaekit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from torch import Tensor

from vaekit.spaces import Space

Split = Literal["train", "test"]


class Made(Protocol):
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
        condition: `[N, ...]`, float32, other values that are known of a row.
        validation: Number of rows, the last ones, of the data set's own validation split, which overlapping rows need.
    """

    x: np.ndarray | Made
    label: np.ndarray | None = None
    mask: np.ndarray | None = None
    condition: np.ndarray | None = None
    validation: int | None = None

    def __len__(self) -> int:
        return len(self.x)


def holds_bits(x: np.ndarray) -> bool:
    """Whether no value of x is above 1; the first block decides for most other rows.

    Args:
        x: `[N, ...]`.
    """
    return all(x[start : start + 4096].max() <= 1 for start in range(0, len(x), 4096))


class Source:
    """A data set. Its constructor reads nothing; `space` reads headers, or values where only they tell.

    Attributes:
        name: For figures and messages.
        cache: Folder of arrays made of the data.
        factors: Names of the factors, where each row has several labels.
    """

    name: str
    cache: str | Path | None = None  # the folder that arrays made of the data are kept in
    factors: Sequence[str] = ()  # the names of the factors, where each row has several labels

    @property
    def space(self) -> Space:
        """Where the raw rows live."""
        raise NotImplementedError

    def load(self, split: Split) -> Rows | None:
        """The rows of `split`; None for "test" where the data set comes without an official test split."""
        raise NotImplementedError

    def classes(self) -> dict[str, int]:
        """The label of each class by its name; none where classes have no names."""
        return {}
