"""Stylized facts of asset returns (Cont 2001), and risk measures of portfolios."""

from __future__ import annotations

import torch
from torch import Tensor


def autocorrelation(x: Tensor, lags: int) -> Tensor:
    """The correlation of each series with itself 1 to `lags` steps later, within windows.

    Args:
        x: Windows `[n, series, T]`.
        lags: Number of lags, below T.

    Returns:
        `[series, lags]`.

    Example:
        >>> import torch
        >>> from vaekit.metrics.series import autocorrelation
        >>> autocorrelation(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]]), lags=2)
        tensor([[-1.,  1.]])
    """
    x = x - x.mean((0, 2), keepdim=True)
    variance = x.square().mean((0, 2))
    return torch.stack([(x[..., k:] * x[..., :-k]).mean((0, 2)) / variance for k in range(1, lags + 1)], 1)


def kurtosis(x: Tensor) -> Tensor:
    """The excess kurtosis of each series; 0 for a normal distribution.

    Args:
        x: Windows `[n, series, T]`.

    Returns:
        `[series]`.

    Example:
        >>> import torch
        >>> from vaekit.metrics.series import kurtosis
        >>> kurtosis(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]]))
        tensor([-2.])
    """
    x = x - x.mean((0, 2), keepdim=True)
    return x.pow(4).mean((0, 2)) / x.square().mean((0, 2)).square() - 3


def correlation(x: Tensor) -> Tensor:
    """The correlation between series at the same step.

    Args:
        x: Windows `[n, series, T]`.

    Returns:
        `[series, series]`.

    Example:
        >>> import torch
        >>> from vaekit.metrics.series import correlation
        >>> correlation(torch.tensor([[[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]])).round()
        tensor([[1., 1.],
                [1., 1.]])
    """
    return torch.corrcoef(x.transpose(0, 1).flatten(1)).reshape(x.shape[1], x.shape[1])


def risk(gain: Tensor, confidence: float, weight: Tensor | None = None) -> tuple[float, float]:
    """Value-at-risk and expected shortfall, losses as positive numbers (Acerbi and Tasche 2002).

    The loss that is exceeded with probability 1 - confidence, and the mean of losses from there on.

    Args:
        gain: Gains `[n]`.
        confidence: Confidence level, e.g. 0.95.
        weight: The weight of each gain, `[n]`; None for equal weights.

    Example:
        >>> import torch
        >>> from vaekit.metrics.series import risk
        >>> risk(torch.tensor([-10.0, -4.0, 3.0, 5.0]), confidence=0.5)
        (4.0, 7.0)
    """
    loss, order = (-gain).sort(descending=True)
    weight = torch.ones_like(loss) if weight is None else weight[order].to(loss)
    tail = (1 - confidence) * weight.sum()
    before = weight.cumsum(0) - weight
    used = torch.minimum(weight, (tail - before).clamp(min=0))  # the part of each weight that lies in the tail
    return float(loss[before < tail][-1]), float((used * loss).sum() / tail)


def drawdown(value: Tensor) -> Tensor:
    """The maximum drawdown of paths: the deepest fall from the highest value before, as a fraction of it.

    Args:
        value: Paths of a value, `[n, T]`, positive.

    Returns:
        `[n]`.

    Example:
        >>> import torch
        >>> from vaekit.metrics.series import drawdown
        >>> drawdown(torch.tensor([[100.0, 50.0, 80.0]]))
        tensor([0.5000])
    """
    return (1 - value / value.cummax(1).values).amax(1)
