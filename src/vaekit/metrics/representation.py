"""What codes tell of a class, by the plainest means: each function takes arrays and gives numbers, 1 at best."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NEIGHBOURS = 5


def representation(
    codes: np.ndarray, label: np.ndarray, test_codes: np.ndarray, test_label: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """linear_probe and knn: accuracy on the test rows `[M, D]`, `[M]` after learning from rows `[N, D]`, `[N]`.
    nmi and ari: normalised mutual information and adjusted Rand index of the test rows' labels and their k-means
    clusters, as many as there are classes.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression())
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(codes)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are enough to compare by
        accuracy = [float(each.fit(codes, label).score(test_codes, test_label)) for each in (probe, neighbours)]
        clusters = KMeans(min(len(np.unique(label)), len(test_codes)), n_init=3, random_state=seed)
        found = clusters.fit_predict(test_codes)
    return {
        "linear_probe": accuracy[0],
        "knn": accuracy[1],
        "nmi": float(normalized_mutual_info_score(test_label, found)),
        "ari": float(adjusted_rand_score(test_label, found)),
    }
