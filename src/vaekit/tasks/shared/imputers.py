"""Imputers of scikit-learn as baselines."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  enables IterativeImputer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import pad

from vaekit.spaces import Space, Table
from vaekit.tasks.shared.imputation import IncompleteRows

NARROW = 64  # largest number of columns for iterative imputation with all columns as predictors
TRAINING_ROWS = 2000  # number of training rows for wider data; ten times as many for narrow data
NEAREST = 50  # number of predictors of each column in iterative imputation of wider data
WIDEST = 1024  # number of columns above which iterative imputation is left out


def classical(
    train: IncompleteRows, validation: IncompleteRows, rows: IncompleteRows, space: Space
) -> dict[str, tuple[float, float]]:
    """RMSE and nll of hidden values, by column means, k nearest neighbors and iterative imputation.

    Binary values and categories are scored by their probabilities, from 0.01 to 0.99. Other values are scored by a
    normal distribution around the imputed one, whose scale is the error of the column on the hidden values of
    `validation`; gray levels and counts by its mass between the midpoints to the next values.

    Args:
        train: Training rows. All three sets of rows are imputed together, each with its missing values.
        validation: Validation rows.
        rows: Rows to score.
        space: Space of x.

    Returns:
        For each method RMSE, and nats for each hidden value.
    """
    columns = space.size
    train = train[: TRAINING_ROWS if columns > NARROW else 10 * TRAINING_ROWS]
    nan = torch.tensor(math.nan)
    sets = torch.cat([part.filled(nan).flatten(1) for part in (train, validation, rows)]).double().numpy()
    iterative = IterativeImputer(
        n_nearest_features=NEAREST if columns > NARROW else None,
        skip_complete=True,
        min_value=np.nanmin(sets),  # without bounds it can diverge
        max_value=np.nanmax(sets),
        random_state=int(torch.randint(2**31, ())),
        keep_empty_features=True,
    )
    imputers: dict[str, Any] = {
        "mean": SimpleImputer(keep_empty_features=True),
        "neighbours": KNNImputer(keep_empty_features=True),
        "iterative": iterative,
    }
    if columns > WIDEST:
        del imputers["iterative"]
    figures = {}
    for name, imputer in imputers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            filled = torch.from_numpy(imputer.fit_transform(sets)).float()[len(train) :]
        imputed, mean = filled.reshape(-1, *space.shape).split([len(validation), len(rows)])
        squared = ((imputed - validation.x).square() * validation.hidden).sum(0)
        scale = (squared / validation.hidden.sum(0).clamp(min=1)).sqrt()
        hidden = int(validation.hidden.sum())
        overall = float((squared.sum() / hidden).sqrt()) if hidden else 1.0  # if no value is hidden
        scale = scale.clamp(min=max(0.1 * overall, 1e-3))  # a column with few hidden values, or a nearly constant one
        figures[name] = (
            rmse(space, mean, rows),
            float((_nll(space, mean, scale, rows.x) * rows.hidden).sum() / space.per_cell(rows.hidden).sum()),
        )
    return figures


def rmse(space: Space, mean: Tensor, rows: IncompleteRows) -> float:
    """Root mean squared error of hidden values. The numbers of a cell of a table are summed.

    Args:
        space: Space of x.
        mean: Imputed rows.
        rows: True rows, with what was hidden.
    """
    return float((((mean - rows.x).square() * rows.hidden).sum() / space.per_cell(rows.hidden).sum()).sqrt())


def _nll(space: Space, mean: Tensor, scale: Tensor, x: Tensor) -> Tensor:
    """-log p(x) of each value. In a one-hot block the number of the category has it, and the others are 0."""
    if isinstance(space, Table):
        return _nll_of_cells(space, mean, scale, x)
    if space.values == "binary":
        return _nll_of_probabilities(mean, x)
    normal = Normal(mean.double(), scale.double())
    if space.values != "discrete" or space.bins is None:
        return -normal.log_prob(x.double())
    half = 0.5 / (space.bins - 1)  # the mass of a gray level's bin; the edge bins reach to infinity
    return _nll_between(
        normal, torch.where(x < half, -math.inf, x - half), torch.where(x > 1 - half, math.inf, x + half)
    )


def _nll_of_cells(space: Table, mean: Tensor, scale: Tensor, x: Tensor) -> Tensor:
    """The same as `_nll` for tables: each column has the same kind of distribution as in `vaekit.likelihoods.table`."""
    widths, parts = [column.width for column in space.ordered], []
    for column, *tensors in zip(space.ordered, *(each.split(widths, -1) for each in (mean, scale, x)), strict=True):
        m, s, value = (each[..., : column.width - column.nullable].double() for each in tensors)
        if column.group == "numeric":
            nll = -Normal(m, s).log_prob(value)
        elif column.group == "count":
            n = value.expm1().round()
            below = torch.where(n < 1, -math.inf, (n - 0.5).log1p())
            nll = _nll_between(Normal(m, s), below, torch.where(n < column.largest, (n + 0.5).log1p(), math.inf))
        elif column.group == "binary":
            nll = _nll_of_probabilities(m, value)
        else:
            p = m.clamp(min=1e-9)
            p = 0.98 * p / p.sum(-1, keepdim=True) + 0.02 / p.shape[-1]
            nll = -value * p.log()
        parts.append(pad(nll, (0, column.nullable)))  # the indicator of a missing cell is not scored
    return torch.cat(parts, -1)


def _nll_of_probabilities(mean: Tensor, x: Tensor) -> Tensor:
    p = mean.clamp(0.01, 0.99)
    return -(x * p.log() + (1 - x) * (1 - p).log())


def _nll_between(normal: Normal, below: Tensor, above: Tensor) -> Tensor:
    """-log of the probability between two values."""
    return -(normal.cdf(above.double()) - normal.cdf(below.double())).clamp(min=1e-12).log()
