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
    """Rows that are made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Tensor:
        """`[B, *space.shape]`, of the row numbers `[B]`."""


@dataclass(frozen=True)
class Rows:
    """The rows of one split, usually memory-mapped.

    x: `[N, *space.shape]`: uint8 for grey levels 0 .. levels - 1, float32 for continuous values.
    label: `[N]`, or `[N, F]` where there are F factors, integers. mask: bool, like `x`, true where observed.
    condition: `[N, ...]`, float32, what else is known of a row.
    validation: how many, the last, are the validation split, where the data set has its own, as rows that overlap must.
    """

    x: np.ndarray | Made
    label: np.ndarray | None = None
    mask: np.ndarray | None = None
    condition: np.ndarray | None = None
    validation: int | None = None

    def __len__(self) -> int:
        return len(self.x)


def holds_bits(x: np.ndarray) -> bool:
    """Whether no value of x `[N, ...]` is above 1; of other rows, the first block tells."""
    return all(x[start : start + 4096].max() <= 1 for start in range(0, len(x), 4096))


class Source:
    """A data set. Constructing one reads nothing; `space` reads headers, or what only the values can tell."""

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
