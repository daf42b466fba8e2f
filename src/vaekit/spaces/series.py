"""Windows of time series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Series(Space):
    """Windows of parallel time series, standardized: (value - mean) / standard deviation of each series.

    Args:
        shape: (series, window).
        names: The name of each series.
        mean: The mean of each series over training rows.
        deviation: The standard deviation of each series over training rows.
        returns: Whether values are log-returns of prices; if not, they are the series themselves.
        incomplete: Whether training rows have missing values.

    Raises:
        ValueError: If the fields do not fit the shape, or a standard deviation is not above 0.

    Example:
        >>> import torch
        >>> from vaekit.spaces import Series
        >>> space = Series((1, 3), names=["a"], mean=[10.0], deviation=[2.0])
        >>> space.restore(torch.tensor([[-1.0, 0.0, 1.0]]))
        tensor([[ 8., 10., 12.]], dtype=torch.float64)
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
        """Values `[..., series, time]` in the data space."""
        return (values - np.array(self.mean)[:, None]) / np.array(self.deviation)[:, None]

    def restore(self, x: Tensor) -> Tensor:
        """x `[..., *shape]` in the units of the series, in double precision."""
        mean, deviation = (x.new_tensor(each, dtype=torch.float64).unsqueeze(1) for each in (self.mean, self.deviation))
        return x * deviation + mean
