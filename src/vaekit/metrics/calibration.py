"""Calibration of predicted probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class Reliability(Metric):
    """A reliability diagram: predicted probabilities in bins of equal width, and the observed frequencies in each bin.

    Args:
        bins: Number of bins of [0, 1].

    Example:
        >>> import torch
        >>> from vaekit.metrics.calibration import Reliability
        >>> reliability = Reliability(bins=2)
        >>> reliability.update(torch.tensor([0.2, 0.2, 0.8, 0.8]), torch.tensor([0, 0, 1, 1]))
        >>> reliability.compute()["error"]
        0.2
    """

    full_state_update = False
    count: Tensor
    predicted: Tensor
    happened: Tensor

    def __init__(self, bins: int = 10):
        super().__init__()
        self.bins = bins
        for name in ("count", "predicted", "happened"):
            self.add_state(name, torch.zeros(bins, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, probability: Tensor, happened: Tensor) -> None:
        """Add probabilities in [0, 1] and outcomes 0 or 1, both of one shape."""
        p, outcome = probability.flatten().double(), happened.flatten().double()
        at = (p * self.bins).long().clamp(0, self.bins - 1)
        for name, values in (("count", torch.ones_like(p)), ("predicted", p), ("happened", outcome)):
            setattr(self, name, getattr(self, name).index_add(0, at, values))

    def compute(self) -> dict[str, list[float] | float]:
        """For each bin that is not empty its mean probability, frequency and fraction of all values; and the
        calibration error.

        The error is the distance of the first two, averaged over values.
        """
        nonempty = self.count > 0
        count = self.count[nonempty]
        predicted, happened, share = (
            self.predicted[nonempty] / count,
            self.happened[nonempty] / count,
            count / count.sum(),
        )
        error = float((share * (predicted - happened).abs()).sum())
        return {
            "predicted": predicted.tolist(),
            "happened": happened.tolist(),
            "share": share.tolist(),
            "error": error,
        }
