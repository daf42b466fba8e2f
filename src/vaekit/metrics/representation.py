"""How well latents represent classes: linear probe, nearest neighbors, clusters."""

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

NEIGHBORS = 5


def representation(
    latents: np.ndarray, label: np.ndarray, test_latents: np.ndarray, test_label: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """Accuracy of a linear probe and of nearest neighbors, and agreement of clusters with classes.

    Args:
        latents: Latents to fit, `[N, D]`.
        label: Their classes, `[N]`.
        test_latents: Latents to test, `[M, D]`.
        test_label: Their classes, `[M]`.
        seed: Seed of the clustering.

    Returns:
        `linear_probe` and `knn`, accuracies on test rows; `nmi` and `ari`, normalized mutual information and adjusted
        Rand index of test labels and k-means clusters, as many as there are classes. 1 is best.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.representation import representation
        >>> label = np.arange(40) % 2
        >>> latents = 10.0 * label[:, None] + np.linspace(0, 1, 40)[:, None]
        >>> representation(latents, label, latents, label)["knn"]
        1.0
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression())
    neighbors = KNeighborsClassifier(min(NEIGHBORS, len(latents)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are enough for a comparison
        accuracy = [float(each.fit(latents, label).score(test_latents, test_label)) for each in (probe, neighbors)]
        clusters = KMeans(min(len(np.unique(label)), len(test_latents)), n_init=3, random_state=seed)
        found = clusters.fit_predict(test_latents)
    return {
        "linear_probe": accuracy[0],
        "knn": accuracy[1],
        "nmi": float(normalized_mutual_info_score(test_label, found)),
        "ari": float(adjusted_rand_score(test_label, found)),
    }
