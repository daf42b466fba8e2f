"""The monotone map between the values of a column and standard normal numbers, by rank."""

from __future__ import annotations

import numpy as np
import torch

FEW = 256  # largest number of distinct values, and at most half the number of cells, that each keep their probability
KNOTS = 256  # half the largest number of knots
FREQUENT = 0.002  # fraction of cells above which a value keeps its probability
SPARED = 0.25  # probability of an extreme that occurs once, in cells, so that it is drawn less often


def fit(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the map: knots between which it is linear.

    A frequent value has two knots, so that the normal numbers between them, with its fraction of the probability, all
    map to it. If there are few distinct values, each has two, and no number maps to any other value. A value of one
    cell is at the middle of its rank. The extremes of many values are further out: a draw exceeds them with the
    probability of `SPARED` cells.

    Args:
        values: `[n]`, without NaN.

    Returns:
        Values in ascending order, and the normal numbers that correspond to them; at most about 2 * `KNOTS`, or more
        where many values are frequent, more of them in the tails.

    Example:
        >>> import numpy as np
        >>> from vaekit import quantiles
        >>> values = np.random.default_rng(0).exponential(size=1000)
        >>> x = quantiles.to_normal(values, *quantiles.fit(values))
        >>> bool(abs(x.mean()) < 0.1 and abs(x.std() - 1) < 0.1)
        True
    """
    seen, counts = np.unique(values, return_counts=True)
    last = counts.cumsum()
    n, first = last[-1], last - counts
    few = len(seen) <= min(FEW, n / 2)
    inside = np.where((counts >= max(5, FREQUENT * n)) | few, 0.0, 0.5)
    ranks = np.stack([first + inside, last - inside], 1).ravel()
    ranks[0], ranks[-1] = SPARED / 2, n - SPARED / 2
    if counts[0] == 1 < len(seen):
        ranks[1 : 3 if few else 2] = SPARED
    if counts[-1] == 1 < len(seen):
        ranks[-3 if few else -2 : -1] = n - SPARED
    knots, at = seen.repeat(2), torch.special.ndtri(torch.from_numpy(ranks / n)).numpy()
    kept = _thinned(knots, at, np.diff(ranks) >= FREQUENT * n)
    return knots[kept], at[kept]


def _thinned(knots: np.ndarray, at: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Which knots to keep: both of each frequent value, those next to evenly spaced numbers, and then one by one where
    the error is largest.

    Args:
        knots: `[k]`, two of each value.
        at: The normal numbers of the knots.
        far: Which knots are as far from the next one as those of a frequent value, `[k - 1]`.
    """
    if len(knots) <= 2 * KNOTS:
        return np.arange(len(knots))
    kept = np.unique(np.searchsorted(at, np.linspace(at[0], at[-1], 3 * KNOTS // 4)).clip(max=len(at) - 1))
    first = 2 * far[::2].nonzero()[0]
    kept = np.union1d(kept, np.concatenate([first, first + 1]))
    for _ in range(max(KNOTS // 2, 3 * KNOTS // 2 - len(kept))):
        error = np.abs(knots - np.interp(at, at[kept], knots[kept]))
        error[kept] = 0
        kept = np.union1d(kept, error.argmax())
    return kept


def to_normal(values: np.ndarray, knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The normal numbers of values; for a value with an interval of numbers the one at the middle of its probability.

    Beyond the knots the map is linear, up to three times the outermost number at twice the range.

    Args:
        values: `[n]`.
        knots: Values in ascending order.
        at: The normal numbers that correspond to them.

    Returns:
        `[n]`.
    """
    scale = max(1.0, np.abs(knots).max() / 1e300)  # keeps twice the range of the largest doubles finite
    values, knots = values / scale, knots / scale
    span, far = knots[-1] - knots[0] or 1.0, 3 * max(-at[0], at[-1])
    knots = np.concatenate([[knots[0] - span], knots, [knots[-1] + span]])
    at = np.concatenate([[-far], at, [far]])
    below, above = -np.interp(-values, -knots[::-1], -at[::-1]), np.interp(values, knots, at)
    middle = (torch.special.ndtr(torch.from_numpy(below)) + torch.special.ndtr(torch.from_numpy(above))) / 2
    return np.where(np.abs(above - below) < 1e-9, above, torch.special.ndtri(middle).numpy())


def step(values: np.ndarray) -> float:
    """The largest number of which all differences of values are multiples, e.g. 5 or .01; 0 if there is none.

    Args:
        values: `[n]`, without NaN.

    Example:
        >>> import numpy as np
        >>> from vaekit import quantiles
        >>> quantiles.step(np.array([0.25, 0.5, 1.0]))
        0.25
    """
    for places in range(9):
        with np.errstate(over="ignore", invalid="ignore"):
            whole = (values - values.min()) * 10**places
        if np.isfinite(whole).all() and np.abs(whole - whole.round()).max() < 1e-3 and whole.max() < 2**53:
            return float(np.gcd.reduce(whole.round().astype(np.int64))) / 10**places
    return 0.0
