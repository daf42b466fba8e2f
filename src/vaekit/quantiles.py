"""The map between the values of a column and standard normal numbers, by rank, and back."""

from __future__ import annotations

import numpy as np
import torch

FEW = 256  # distinct values, half as many as cells at most, of which each keeps its own share of the numbers
KNOTS = 256  # evenly spaced normal numbers, and as many others at the most, that are kept of more
FREQUENT = 0.002  # share of the cells from which on one of many values keeps its own share of the numbers
SPARED = 0.25  # cells that the outermost values take where one cell has them, so that they come back less often


def fit(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots of the map: values, in order, and the normal numbers at which they stand.

    Between two knots the map is a straight line. A frequent value stands at two, so that each of the numbers between
    them is it: its share of the cells. Where there are few distinct values each does, and no number stands for any
    other value. A value of one cell stands at the middle of its rank. The smallest and the largest of many values
    stand further out: a draw exceeds them with the probability of `SPARED` cells.

    values: `[n]`, without NaN. Returns at most about 2 * `KNOTS` knots, more of them in the tails.
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
    kept = _thinned(knots, at)
    return knots[kept], at[kept]


def _thinned(knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Which of them to keep: those next to evenly spaced numbers, and then, one by one, where the error is largest."""
    if len(knots) <= 2 * KNOTS:
        return np.arange(len(knots))
    kept = np.unique(np.searchsorted(at, np.linspace(at[0], at[-1], KNOTS)).clip(max=len(at) - 1))
    for _ in range(KNOTS // 2):
        error = np.abs(knots - np.interp(at, at[kept], knots[kept]))
        error[kept] = 0
        kept = np.union1d(kept, error.argmax())
    return kept


def to_normal(values: np.ndarray, knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The normal numbers of values; of a value that has many of them, the one in the middle of their probabilities.

    Beyond the knots numbers grow in proportion, up to three times as far as there are any at twice the range.
    """
    span, far = knots[-1] - knots[0] or 1.0, 3 * max(-at[0], at[-1])
    knots = np.concatenate([[knots[0] - span], knots, [knots[-1] + span]])
    at = np.concatenate([[-far], at, [far]])
    below, above = -np.interp(-values, -knots[::-1], -at[::-1]), np.interp(values, knots, at)
    middle = (torch.special.ndtr(torch.from_numpy(below)) + torch.special.ndtr(torch.from_numpy(above))) / 2
    return np.where(np.abs(above - below) < 1e-9, above, torch.special.ndtri(middle).numpy())


def step(values: np.ndarray) -> float:
    """The largest number of which all differences of values are multiples, e.g. 5, or .01; 0 where there is none."""
    for places in range(9):
        whole = (values - values.min()) * 10**places
        if np.abs(whole - whole.round()).max() < 1e-3 and whole.max() < 2**53:
            return float(np.gcd.reduce(whole.round().astype(np.int64))) / 10**places
    return 0.0
