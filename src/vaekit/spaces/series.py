"""Windows of series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Series(Space):
    """Windows of series that run side by side, shape (series, window): (value - mean) / standard deviation of each.

    returns: whether the values are log-returns, of a price; or else levels. mean, deviation: a number a series, of the
    training part alone.
    """

    names: Sequence[str] = ()
    mean: Sequence[float] = ()
    deviation: Sequence[float] = ()
    returns: bool = True
    incomplete: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        for name in ("mean", "deviation"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        if not self.shape[0] == len(self.names) == len(self.mean) == len(self.deviation) or min(self.deviation) <= 0:
            raise ValueError(f"series {self.names} with means {self.mean} and deviations {self.deviation}")

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """Returns or levels `[..., series, time]` as they stand in the data space."""
        return (values - np.array(self.mean)[:, None]) / np.array(self.deviation)[:, None]

    def restore(self, x: Tensor) -> Tensor:
        """Returns or levels `[..., *shape]` of x, in double precision."""
        mean, deviation = (x.new_tensor(each, dtype=torch.float64).unsqueeze(1) for each in (self.mean, self.deviation))
        return x * deviation + mean
