"""Whether what is given a probability happens as often."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class Reliability(Metric):
    """Predicted probabilities in bins of equal width, beside how often what they are of happened."""

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
        """Both of one shape; probability in [0, 1], happened 0 or 1."""
        p, yes = probability.flatten().double(), happened.flatten().double()
        at = (p * self.bins).long().clamp(0, self.bins - 1)
        for name, values in (("count", torch.ones_like(p)), ("predicted", p), ("happened", yes)):
            setattr(self, name, getattr(self, name).index_add(0, at, values))

    def compute(self) -> dict[str, list[float] | float]:
        """predicted, happened: the means of each bin that has any, and its share. error: their distance, averaged."""
        some = self.count > 0
        count = self.count[some]
        predicted, happened, share = self.predicted[some] / count, self.happened[some] / count, count / count.sum()
        error = float((share * (predicted - happened).abs()).sum())
        return {
            "predicted": predicted.tolist(),
            "happened": happened.tolist(),
            "share": share.tolist(),
            "error": error,
        }
