"""Disentanglement: whether each latent dimension represents one factor of the data.

Each function takes latents `[N, D]`, real, and factors `[N, F]`, integers, of which each has at least two values. It
returns numbers from 0 to 1; 1 is best. The values of a factor are classes without an order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import mutual_info_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

BINS = (
    20  # number of bins of equal width for each latent, as in Locatello et al. 2019, https://arxiv.org/abs/1811.12359
)
COLLAPSED = 0.05  # variance below which a latent counts as unused, as in Kim & Mnih's experiments


def disentanglement(
    latents: np.ndarray, factors: np.ndarray, seed: int = 0
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """All metrics by name, and the matrices that they are computed from.

    Args:
        latents: `[N, D]`, real.
        factors: `[N, F]`, integers; each factor has at least two values.
        seed: Seed of the split into rows to fit and rows to test.

    Returns:
        The metrics, and `information` and `importance`, `[D, F]`.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.disentanglement import disentanglement
        >>> factors = np.random.default_rng(0).integers(0, 2, (1000, 2))
        >>> metrics, matrices = disentanglement(factors.astype(float), factors)
        >>> metrics["factor_vae"], matrices["importance"].shape
        (1.0, (2, 2))
    """
    relevance = dci(latents, factors, seed)
    metrics = {
        "mig": mig(latents, factors),
        "dci_disentanglement": relevance.disentanglement,
        "dci_completeness": relevance.completeness,
        "dci_informativeness": relevance.informativeness,
        "sap": sap(latents, factors, seed),
        "factor_vae": factor_vae(latents, factors, seed),
        "modularity": modularity(latents, factors),
    }
    return metrics, {"information": information(latents, factors), "importance": relevance.importance}


def information(latents: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Mutual information of each binned latent and each factor, as a fraction of the factor's entropy.

    Args:
        latents: `[N, D]`, real.
        factors: `[N, F]`, integers; each factor has at least two values.

    Returns:
        `[D, F]`.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.disentanglement import information
        >>> factors = np.random.default_rng(0).integers(0, 2, (1000, 2))
        >>> information(factors.astype(float), factors).round(1)
        array([[1., 0.],
               [0., 1.]])
    """
    binned = [np.digitize(latent, np.histogram_bin_edges(latent, BINS)[1:-1]) for latent in latents.T]
    shared = [[mutual_info_score(latent, factor) for factor in factors.T] for latent in binned]
    return np.array(shared) / _entropies(factors)


def mig(latents: np.ndarray, factors: np.ndarray) -> float:
    """The mutual information gap: information of the most informative latent of each factor, minus that of the second.

    Chen et al. 2018, https://arxiv.org/abs/1802.04942, section 4.1. Binning limits it: perfect latents of a factor with
    V values reach log(BINS) / log V.

    Args:
        latents: `[N, D]`, real.
        factors: `[N, F]`, integers; each factor has at least two values.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.disentanglement import mig
        >>> factors = np.random.default_rng(0).integers(0, 2, (1000, 2))
        >>> mig(factors.astype(float), factors) > 0.98
        True
    """
    return _gap(information(latents, factors))


def modularity(latents: np.ndarray, factors: np.ndarray) -> float:
    """Whether each latent is informative about one factor only (Ridgeway & Mozer 2018,
    https://arxiv.org/abs/1802.05312).

    It does not measure how informative a latent is, so latents of pure noise can score well above 0.

    Args:
        latents: `[N, D]`, real.
        factors: `[N, F]`, integers; each factor has at least two values.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.disentanglement import modularity
        >>> factors = np.random.default_rng(0).integers(0, 2, (1000, 2))
        >>> modularity(factors.astype(float), factors) > 0.98
        True
    """
    squared = (information(latents, factors) * _entropies(factors)) ** 2  # in nats, as there
    most = squared.max(1)
    others = (squared.sum(1) - most) / np.maximum(most, 1e-12) / (factors.shape[1] - 1)
    return float(np.where(most > 1e-12, 1 - others, 0).mean())


class DCI(NamedTuple):
    """The metrics of Eastwood & Williams 2018.

    Args:
        disentanglement: Whether a latent is important for one factor only.
        completeness: Whether one latent is important for a factor.
        informativeness: Balanced accuracy on held-out rows, rescaled so that chance is 0.
        importance: Importance of each latent for each factor, `[D, F]`.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: np.ndarray


def dci(latents: np.ndarray, factors: np.ndarray, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018, section 2) by random forests.

    https://openreview.net/forum?id=By-7dz-AZ. Informativeness is the forests' balanced accuracy on a held-out fifth of
    the rows, rescaled so that chance is 0.

    Args:
        latents: `[N, D]`, real.
        factors: `[N, F]`, integers; each factor has at least two values.
        seed: Seed of the split into rows to fit and rows to test.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.disentanglement import dci
        >>> factors = np.random.default_rng(0).integers(0, 2, (1000, 2))
        >>> dci(factors.astype(float), factors).disentanglement > 0.98
        True
    """
    fit_latents, test_latents, fit_factors, test_factors = train_test_split(
        latents, factors, test_size=0.2, random_state=seed
    )
    columns, accuracies = [], []
    for factor, answer in zip(fit_factors.T, test_factors.T, strict=True):
        # Noise gets no importance if each split considers all latents and leaves are not too small. The boosted trees
        # of Locatello et al. give nearly the same values in ten times the time.
        forest = RandomForestClassifier(50, max_features=None, min_samples_leaf=20, random_state=seed)
        forest.fit(fit_latents, factor)
        columns.append(forest.feature_importances_)
        accuracies.append(_accuracy(answer, forest.predict(test_latents)))
    importance = np.stack(columns, 1)
    weights = importance.sum(1) / len(columns)  # a column sums to 1, or to 0 if no latent is informative
    disentangled = weights @ _concentration(importance)
    return DCI(float(disentangled), float(_concentration(importance.T).mean()), float(np.mean(accuracies)), importance)


def sap(latents: np.ndarray, factors: np.ndarray, seed: int = 0) -> float:
    """Separated attribute predictability: accuracy of the latent that best predicts each factor, minus that of the
    second.

    Kumar et al. 2018, https://arxiv.org/abs/1711.00848, section 3. As there for classes, a prediction is by thresholds
    on one latent; here balanced accuracy on held-out rows, rescaled so that chance is 0.

    Args:
        latents: `[N, D]`, real.
        factors: `[N, F]`, integers; each factor has at least two values.
        seed: Seed of the split into rows to fit and rows to test.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.disentanglement import sap
        >>> factors = np.random.default_rng(0).integers(0, 2, (1000, 2))
        >>> sap(factors.astype(float), factors) > 0.8
        True
    """
    fit_latents, test_latents, fit_factors, test_factors = train_test_split(
        latents, factors, test_size=0.2, random_state=seed
    )
    accuracy = np.empty((latents.shape[1], factors.shape[1]))
    for d, f in np.ndindex(accuracy.shape):
        intervals = 2 * len(np.unique(factors[:, f]))  # a class may need more than one
        tree = DecisionTreeClassifier(class_weight="balanced", max_leaf_nodes=intervals, random_state=seed)
        tree.fit(fit_latents[:, [d]], fit_factors[:, f])
        accuracy[d, f] = _accuracy(test_factors[:, f], tree.predict(test_latents[:, [d]]))
    return _gap(accuracy)


def factor_vae(latents: np.ndarray, factors: np.ndarray, seed: int = 0, votes: int = 2000, rows: int = 64) -> float:
    """The FactorVAE metric: accuracy of a majority vote on which factor was held fixed in a group of rows.

    Kim & Mnih 2018, https://arxiv.org/abs/1802.05983, section 4. A group votes by the latent that varies least in it; 1
    / F by chance.

    Args:
        latents: `[N, D]`, real.
        factors: `[N, F]`, integers; each factor has at least two values.
        seed: Seed of the groups.
        votes: Number of groups for each factor, and as many again to test the vote.
        rows: Rows in a group, drawn from those given.

    Example:
        >>> import numpy as np
        >>> from vaekit.metrics.disentanglement import factor_vae
        >>> factors = np.random.default_rng(0).integers(0, 2, (1000, 2))
        >>> factor_vae(factors.astype(float), factors)
        1.0
    """
    used = latents.var(0) >= COLLAPSED
    if not used.any():
        return 1 / factors.shape[1]
    latents = latents[:, used] / latents[:, used].std(0)
    random = np.random.default_rng(seed)
    table = np.zeros((2, latents.shape[1], factors.shape[1]), dtype=int)  # votes to fit, and to test
    for f, factor in enumerate(factors.T):
        _, counts = np.unique(factor, return_counts=True)
        by_value, first = np.argsort(factor, kind="stable"), np.cumsum(counts) - counts
        for part in table:
            value = random.integers(len(counts), size=(votes, 1))
            groups = by_value[first[value] + random.integers(counts[value], size=(votes, rows))]
            part[:, f] = np.bincount(latents[groups].var(1).argmin(1), minlength=latents.shape[1])
    fitted, tested = table
    return float(tested[np.arange(latents.shape[1]), fitted.argmax(1)].sum() / tested.sum())


def _entropies(factors: np.ndarray) -> np.ndarray:
    """In nats, `[F]`."""
    return np.array([mutual_info_score(factor, factor) for factor in factors.T])


def _gap(scores: np.ndarray) -> float:
    """The highest score of `[D, F]` for each factor minus the second, on average; with one latent the second is 0."""
    second, first = np.sort(np.vstack([np.zeros_like(scores[:1]), scores]), axis=0)[-2:]
    return float((first - second).mean())


def _concentration(importance: np.ndarray) -> np.ndarray:
    """1 minus the relative entropy of each row: 1 if all is in one place, 0 if it is spread evenly or all 0."""
    total = importance.sum(1, keepdims=True)
    p = importance / np.where(total > 0, total, 1)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(1)
    return np.where(total[:, 0] > 0, np.maximum(0, 1 - entropy / np.log(max(2, p.shape[1]))), 0)


def _accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean accuracy over the classes that occur, rescaled so that chance is 0 and the best is 1."""
    classes = np.unique(true)
    chance = 1 / len(classes)
    accuracy = recall_score(true, predicted, labels=classes, average="macro")
    return max(0.0, float(accuracy - chance) / (1 - chance))
