"""Fidelity of synthetic rows: whether columns, pairs of columns and whole rows are distributed as real ones."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import torch
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

BINS = 10  # of each numeric column of a pair
FOLDS = 3  # of cross-validation

Columns = Mapping[str, np.ndarray]
"""Cells by column, `[N]`: floats for numbers, integers for categories; missing ones are -inf or -1."""


def column_shapes(real: Columns, synthetic: Columns) -> dict[str, float]:
    """The similarity of each column: 1 minus the Kolmogorov-Smirnov statistic for numbers, and 1 minus the total
    variation distance for categories.

    Args:
        real: Columns of real rows.
        synthetic: The same columns of synthetic rows.

    Returns:
        By column, from 0 to 1.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.fidelity import column_shapes
        >>> column_shapes({"color": np.array([0, 0, 1, 1])}, {"color": np.array([0, 1, 1, 1])})
        {'color': 0.75}
    """
    return {
        name: float(1 - ks_2samp(each, synthetic[name]).statistic)
        if each.dtype.kind == "f"
        else _overlap(each, synthetic[name])
        for name, each in real.items()
    }


def pair_trends(real: Columns, synthetic: Columns) -> dict[tuple[str, str], float]:
    """The similarity of each pair of columns: 1 minus the total variation distance of their joint distributions, with
    numbers in ten bins that hold equally many real rows.

    Args:
        real: Columns of real rows.
        synthetic: The same columns of synthetic rows.

    Returns:
        By pair, from 0 to 1.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.fidelity import pair_trends
        >>> real, independent = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        >>> pair_trends({"a": real, "b": real}, {"a": real, "b": independent})
        {('a', 'b'): 0.5}
    """
    binned = [{name: _binned(each, real[name]) for name, each in columns.items()} for columns in (real, synthetic)]
    return {(a, b): _overlap(*(_joint(columns[a], columns[b]) for columns in binned)) for a, b in combinations(real, 2)}


def _binned(values: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Numbers as the number of their bin; categories as they are."""
    if values.dtype.kind != "f":
        return values
    edges = np.unique(np.quantile(real, np.arange(1, BINS) / BINS, method="lower"))
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1)


def _joint(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One integer for each pair of integers."""
    return a.astype(np.int64) * (2**31) + b


def _overlap(p: np.ndarray, q: np.ndarray) -> float:
    """1 minus the total variation distance of two samples of integers."""
    _, of_row = np.unique(np.concatenate([p, q]), return_inverse=True)
    counts = (
        np.bincount(each, minlength=of_row.max() + 1) / len(each) for each in (of_row[: len(p)], of_row[len(p) :])
    )
    return float(np.minimum(*counts).sum())


def two_sample_auc(real: Tensor, synthetic: Tensor, seed: int = 0) -> float:
    """Classifier two-sample test: the cross-validated AUC of gradient boosting that classifies rows as real or
    synthetic; 0.5 if they cannot be distinguished.

    Args:
        real: `[N, D]`.
        synthetic: `[M, D]`.
        seed: Of folds and trees.

    References:
        David Lopez-Paz, Maxime Oquab. Revisiting Classifier Two-Sample Tests. In ICLR 2017.
            https://arxiv.org/abs/1610.06545

    Example:
        >>> import torch
        >>> from vaekit.metrics.fidelity import two_sample_auc
        >>> x = torch.randn(300, 2)
        >>> two_sample_auc(x, x + 100)
        1.0
    """
    x = torch.cat([real, synthetic]).cpu().numpy()
    made = np.arange(len(x)) >= len(real)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(
        HistGradientBoostingClassifier(random_state=seed), x, made, cv=folds, method="decision_function"
    )
    return float(roc_auc_score(made, scores))
