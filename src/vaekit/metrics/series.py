"""What is known of the returns of assets (Cont 2001), and what may be lost on a portfolio of them."""

from __future__ import annotations

import torch
from torch import Tensor


def autocorrelation(x: Tensor, lags: int) -> Tensor:
    """Correlation of x `[n, series, T]` with itself 1 to `lags` steps on, within windows: `[series, lags]`."""
    x = x - x.mean((0, 2), keepdim=True)
    variance = x.square().mean((0, 2))
    return torch.stack([(x[..., k:] * x[..., :-k]).mean((0, 2)) / variance for k in range(1, lags + 1)], 1)


def kurtosis(x: Tensor) -> Tensor:
    """Excess kurtosis of each series of x `[n, series, T]`, 0 for a normal distribution: `[series]`."""
    x = x - x.mean((0, 2), keepdim=True)
    return x.pow(4).mean((0, 2)) / x.square().mean((0, 2)).square() - 3


def correlation(x: Tensor) -> Tensor:
    """Correlation between the series of x `[n, series, T]` at the same step: `[series, series]`."""
    return torch.corrcoef(x.transpose(0, 1).flatten(1)).reshape(x.shape[1], x.shape[1])


def risk(gain: Tensor, level: float, weight: Tensor | None = None) -> tuple[float, float]:
    """Value-at-risk and expected shortfall of gains `[n]` at a level such as 0.95, losses as positive numbers.

    The loss that is exceeded with probability 1 - level, and the mean of the losses from there on (Acerbi and Tasche
    2002: in a sample, the mean of its worst 1 - level). weight: of each gain, `[n]`, in place of equal ones.
    """
    loss, order = (-gain).sort(descending=True)
    weight = torch.ones_like(loss) if weight is None else weight[order].to(loss)
    share = (1 - level) * weight.sum()
    before = weight.cumsum(0) - weight
    used = torch.minimum(weight, (share - before).clamp(min=0))  # of each of the worst, the part that lies in the tail
    return float(loss[before < share][-1]), float((used * loss).sum() / share)


def drawdown(value: Tensor) -> Tensor:
    """The deepest fall of paths of a value `[n, T]` from the highest point before, as a fraction of it: `[n]`."""
    return (1 - value / value.cummax(1).values).amax(1)
