"""The metrics of synthetic rows in `benchmarks/tables.py`, each as it is published.

Every function in `MEASURES` takes a table and synthetic rows, and returns its metrics by name.
"""

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import f1_score, r2_score, roc_auc_score, root_mean_squared_error
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import LabelEncoder, OneHotEncoder
from table_sets import Table

from vaekit.metrics.membership import attack, scores

try:
    from xgboost import XGBClassifier, XGBRegressor
except ImportError:
    XGBClassifier = XGBRegressor = None

CATEGORIES = 100  # of a column, at most; the rarer ones are one
BOOSTING = {"n_estimators": 100, "max_depth": 5, "min_child_weight": 10}  # within the grid of TabSyn's evaluation
ATTACKED = 2000  # training rows, and held-out rows, at most
LEVELS = 30  # fractions alpha and beta at which the balls are compared


class Encoder:
    """Rows as numbers: numeric columns, of which NaN are kept, then the others one-hot.

    Args:
        rows: Training rows, whose categories are used.
        columns: The columns to encode.
    """

    def __init__(self, rows: pd.DataFrame, columns: list[str]) -> None:
        self.numeric = [name for name in columns if rows[name].dtype.kind == "f"]
        self.others = [name for name in columns if name not in self.numeric]
        settings = {"handle_unknown": "ignore", "max_categories": CATEGORIES, "sparse_output": False}
        one_hot = OneHotEncoder(**settings, dtype=np.float32)
        self.one_hot = one_hot.fit(rows[self.others].to_numpy()) if self.others else None

    def numbers(self, rows: pd.DataFrame) -> np.ndarray:
        return rows[self.numeric].to_numpy(np.float32)

    def __call__(self, rows: pd.DataFrame) -> np.ndarray:
        """`[N, F]`, float32."""
        parts = [self.numbers(rows)]
        if self.one_hot is not None:
            parts.append(self.one_hot.transform(rows[self.others].to_numpy()))
        return np.concatenate(parts, 1)


def points(table: Table, *many: pd.DataFrame) -> list[np.ndarray]:
    """Rows as points: categories one-hot, numbers scaled to [0, 1] by the training rows, their mean where missing."""
    encoder = Encoder(table.train, list(table.train))
    numbers = encoder.numbers(table.train)
    low, high, mean = (of(numbers, 0) for of in (np.nanmin, np.nanmax, np.nanmean))
    found = [encoder(rows) for rows in many]
    for cells in (x[:, : len(low)] for x in found):
        cells[:] = (np.where(np.isnan(cells), mean, cells) - low) / np.maximum(high - low, 1e-12)
    return found


def nearest(of: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest of other points, and its number."""
    distance, number = NearestNeighbors(n_neighbors=1).fit(among).kneighbors(of)
    return distance[:, 0], number[:, 0]


def utility(table: Table, rows: pd.DataFrame) -> dict[str, float]:
    """Train on synthetic rows, test on held-out ones: AUC and macro F1, or RMSE and R2 of a numeric target."""
    encoder = Encoder(table.train, [name for name in table.train if name != table.target])
    x, x_test, truth = encoder(rows), encoder(table.test), table.test[table.target]
    if table.target in table.numeric:
        model = XGBRegressor(**BOOSTING) if XGBRegressor else HistGradientBoostingRegressor(random_state=0)
        predicted = model.fit(x, rows[table.target]).predict(x_test)
        return {"RMSE": root_mean_squared_error(truth, predicted), "R2": r2_score(truth, predicted)}
    labels = LabelEncoder().fit(rows[table.target])
    known = truth.isin(labels.classes_).to_numpy()  # a class that was never generated counts as the first one
    y = np.where(known, labels.transform(truth.where(known, labels.classes_[0])), 0)
    model = XGBClassifier(**BOOSTING) if XGBClassifier else HistGradientBoostingClassifier(random_state=0)
    p = model.fit(x, labels.transform(rows[table.target])).predict_proba(x_test)
    auc = roc_auc_score(y, p[:, 1] if p.shape[1] == 2 else p, multi_class="ovr")
    return {"AUC": auc, "F1": f1_score(y, p.argmax(1), average="macro")}


def quality(table: Table, rows: pd.DataFrame) -> dict[str, float]:
    """Column shapes and pair trends, of all pairs, by SDMetrics."""
    from sdmetrics.reports import QualityReport

    report = QualityReport()
    report.real_correlation_threshold = report.real_association_threshold = 0
    report.generate({"rows": table.train}, {"rows": rows}, {"tables": {"rows": metadata(table)}}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return {"columns": scores["Column Shapes"], "pairs": scores["Column Pair Trends"]}


def detection(table: Table, rows: pd.DataFrame) -> dict[str, float]:
    """Classifier two-sample tests (C2ST) by SDMetrics: 1 - (2 AUC - 1), cross-validated in three parts.

    `C2ST LR` is by logistic regression, as TabSyn and TabDiff report it; `C2ST` is by XGBoost, as TabPC does.
    """
    from sdmetrics.single_table import LogisticDetection
    from sdmetrics.single_table.detection.sklearn import ScikitLearnClassifierDetectionMetric

    class XGBoostDetection(ScikitLearnClassifierDetectionMetric):
        @staticmethod
        def _get_classifier() -> "XGBClassifier":
            return XGBClassifier(random_state=0)

    others = [name for name in table.train if name not in table.numeric]
    seen = [rows[name].isin(table.train[name]) for name in others]  # SDMetrics cannot encode other categories
    rows = rows[np.logical_and.reduce(seen)] if seen else rows
    found = {}
    for name, metric in {"C2ST LR": LogisticDetection, "C2ST": XGBoostDetection}.items():
        if metric is LogisticDetection or XGBClassifier:
            np.random.seed(0)  # of the parts
            found[name] = metric.compute(table.train, rows, metadata(table))
    return found


def metadata(table: Table) -> dict:
    """The description of a table that SDMetrics requires."""
    kinds = {name: "numerical" if name in table.numeric else "categorical" for name in table.train}
    return {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}


def coverage(table: Table, rows: pd.DataFrame) -> dict[str, float]:
    """Alpha-precision and beta-recall (Alaa et al. 2022), as synthcity's `naive` ones, which TabSyn reports.

    Alpha-precision: do as many synthetic rows lie in the ball that holds the innermost fraction alpha of the training
    rows? Beta-recall: has a training row a synthetic one that is nearer than its nearest training row, within the
    ball of the innermost beta of these? 1 - 2 times the area between the curve and the diagonal.
    """
    real, made = points(table, table.train, rows)
    fractions = np.linspace(0, 1, LEVELS)

    def score(inside: list[float]) -> float:
        return 1 - 2 * np.abs(fractions - inside).sum() * fractions[1]

    def from_center(x: np.ndarray, center: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x - center, axis=1)

    center = real.mean(0)
    radii = np.quantile(from_center(real, center), fractions)
    made_radii = from_center(made, center)
    alpha = [float((made_radii <= radius).mean()) for radius in radii]

    own = NearestNeighbors(n_neighbors=2).fit(real).kneighbors(real)[0][:, 1]
    distance, number = nearest(real, made)
    radii = from_center(made, made.mean(0))[number]
    beta = [float(((distance <= own) & (radii <= radius)).mean()) for radius in np.quantile(radii, fractions)]
    return {"alpha-precision": score(alpha), "beta-recall": score(beta)}


def membership(table: Table, rows: pd.DataFrame) -> dict[str, float]:
    """AUC of the best of the attacks of `task=audit`, which separate training from held-out rows; 0.5 is chance.

    The attacker knows half of the held-out rows, as a sample of the population.
    """
    train, test, made = (torch.from_numpy(x) for x in points(table, table.train, table.test, rows))
    mix = torch.Generator().manual_seed(0)
    train, test = (x[torch.randperm(len(x), generator=mix)] for x in (train, test))
    count = min(ATTACKED, len(train), len(test) // 2)
    members, others, known = train[:count], test[:count], test[count:]
    ranked = scores(torch.cat([members, others]), made, known)
    return {"attack AUC": max(attack(each[:count], each[count:]).auc for each in ranked.values())}


MEASURES = {each.__name__: each for each in (utility, quality, detection, coverage, membership)}
FIGURES = ("AUC", "F1", "RMSE", "R2", "columns", "pairs", "C2ST", "C2ST LR")
FIGURES += ("alpha-precision", "beta-recall", "attack AUC")
