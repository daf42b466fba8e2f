"""scikit-learn's ways to fill missing values, to compare with."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  IterativeImputer is there by this
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from torch import Tensor
from torch.distributions import Normal

from vaekit.spaces import Image, Real
from vaekit.tasks.imputation import Holed

SMALL = 64  # columns up to which iterative imputation is affordable as it comes
TRAINING_ROWS = 2000  # that the imputers see of wider data, ten times as many of small ones
NEAREST = 50  # columns that each is predicted from in iterative imputation of wider data
WIDEST = 1024  # columns from which on it is left out


def classical(train: Holed, validation: Holed, rows: Holed, space: Real) -> dict[str, tuple[float, float]]:
    """RMSE and nll in nats of each hidden value of `rows`: of the mean, of k nearest neighbours, and of iterative
    imputation. They are fitted on all three sets of rows together, each with its holes.

    Where the values are binary, the filled value is their probability, kept from 0.01 to 0.99; elsewhere it is the mean
    of a normal distribution, whose scale is the column's error on the hidden values of `validation`.
    """
    columns = space.size
    train = train[: TRAINING_ROWS if columns > SMALL else 10 * TRAINING_ROWS]
    nan = torch.tensor(math.nan)
    sets = torch.cat([part.filled(nan).flatten(1) for part in (train, validation, rows)]).double().numpy()
    iterative = IterativeImputer(
        n_nearest_features=NEAREST if columns > SMALL else None,
        skip_complete=True,
        min_value=np.nanmin(sets),  # without bounds it can run away
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
        held, mean = filled.reshape(-1, *space.shape).split([len(validation), len(rows)])
        squared = ((held - validation.x).square() * validation.hidden).sum(0)
        scale = (squared / validation.hidden.sum(0).clamp(min=1)).sqrt()
        overall = (squared.sum() / validation.hidden.sum()).sqrt()
        scale = scale.clamp(min=0.1 * float(overall))  # a column with few hidden values, or a nearly constant one
        figures[name] = (
            rmse(mean, rows),
            float((_nll(space, mean, scale, rows.x) * rows.hidden).sum() / rows.hidden.sum()),
        )
    return figures


def rmse(mean: Tensor, rows: Holed) -> float:
    """Root of the mean squared error of the hidden values."""
    return float((((mean - rows.x).square() * rows.hidden).sum() / rows.hidden.sum()).sqrt())


def _nll(space: Real, mean: Tensor, scale: Tensor, x: Tensor) -> Tensor:
    if space.values == "binary":
        p = mean.clamp(0.01, 0.99)
        return -(x * p.log() + (1 - x) * (1 - p).log())
    normal = Normal(mean.double(), scale.double())
    if not (isinstance(space, Image) and space.values == "discrete"):
        return -normal.log_prob(x.double())
    half = 0.5 / ((space.levels or 2) - 1)  # the mass of a grey level's bin; the edge bins reach to infinity
    above = torch.where(x > 1 - half, 1.0, normal.cdf((x + half).double()))
    below = torch.where(x < half, 0.0, normal.cdf((x - half).double()))
    return -(above - below).clamp(min=1e-12).log()
