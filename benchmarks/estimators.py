"""VAEDetector and VAEImputer against those of scikit-learn, on its data sets: `python benchmarks/estimators.py`.

Anomalies: each detector trains on half of the rows of the largest class; the other half and all other classes are the
test rows (AUROC). Missing values: each imputer is fitted to rows of which 30 % of the cells are hidden completely at
random, and fills them (RMSE in standard deviations of the column). Everything has its defaults. Prints Markdown: mean
and range over the seeds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from vaekit.sklearn import VAEDetector, VAEImputer

LABELLED = {"breast cancer": load_breast_cancer, "wine": load_wine, "digits": load_digits, "iris": load_iris}
MEASURED = {"breast cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes, "iris": load_iris}
HIDDEN = 0.3
DETECTORS: dict[str, Callable[[int], Any]] = {
    "VAEDetector": lambda seed: VAEDetector(random_state=seed),
    "IsolationForest": lambda seed: IsolationForest(random_state=seed),
    "LocalOutlierFactor": lambda seed: LocalOutlierFactor(novelty=True),
}
IMPUTERS: dict[str, Callable[[int], Any]] = {
    "VAEImputer": lambda seed: VAEImputer(random_state=seed),
    "SimpleImputer": lambda seed: SimpleImputer(),
    "KNNImputer": lambda seed: KNNImputer(),
    "IterativeImputer": lambda seed: IterativeImputer(random_state=seed),
}


def auroc(detector: Any, load: Callable[..., Any], seed: int) -> float:
    """Area under the ROC curve of test rows, the largest class being normal."""
    x, y = load(return_X_y=True)
    normal = np.flatnonzero(y == np.bincount(y).argmax())
    train = np.random.default_rng(seed).permutation(normal)[: len(normal) // 2]
    test = np.setdiff1d(np.arange(len(x)), train)
    scale = StandardScaler().fit(x[train])
    detector.fit(scale.transform(x[train]))
    return float(roc_auc_score(~np.isin(test, normal), -detector.score_samples(scale.transform(x[test]))))


def rmse(imputer: Any, load: Callable[..., Any], seed: int) -> float:
    """Root mean squared error of the hidden cells, in standard deviations of their columns."""
    x = StandardScaler().fit_transform(load(return_X_y=True)[0])
    hidden = np.random.default_rng(seed).random(x.shape) < HIDDEN
    filled = imputer.fit_transform(np.where(hidden, np.nan, x))
    return float(np.sqrt(np.mean((filled - x)[hidden] ** 2)))


def table(title: str, makers: dict[str, Callable[[int], Any]], data: dict[str, Any], measure: Any, seeds: int) -> None:
    """Print a row for each estimator, a column for each data set, and the seconds that all of them took."""
    print(f"\n| {title} | {' | '.join(data)} | seconds |\n| --- |{' --- |' * (len(data) + 1)}")
    for name, make in makers.items():
        started, cells = perf_counter(), []
        for load in data.values():
            found = [measure(make(seed), load, seed) for seed in range(1, seeds + 1)]
            cells.append(f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})")
        print(f"| {name} | {' | '.join(cells)} | {perf_counter() - started:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    print(f"{seeds} seeds, {os.environ.get('OMP_NUM_THREADS', os.cpu_count())} threads")
    table("AUROC", DETECTORS, LABELLED, auroc, seeds)
    table(f"RMSE, {HIDDEN:.0%} hidden", IMPUTERS, MEASURED, rmse, seeds)


if __name__ == "__main__":
    main()
