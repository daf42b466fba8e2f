"""Whether each latent variable stands for one factor of the data, from stored codes and known factors.

Every function takes codes `[N, D]`, real, and factors `[N, F]`, integers of which each takes two values at least, and
gives numbers from 0 to 1; 1 is best. A factor is a set of classes: its values have no order. Draws depend on `seed`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import mutual_info_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

BINS = 20  # of equal width for each code, as in Locatello et al. 2019, https://arxiv.org/abs/1811.12359
COLLAPSED = 0.05  # variance below which a code counts as unused, as in Kim & Mnih's experiments


def disentanglement(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """All the figures by name, and what they are made from: information and importance, `[D, F]`."""
    relevance = dci(codes, factors, seed)
    figures = {
        "mig": mig(codes, factors),
        "dci_disentanglement": relevance.disentanglement,
        "dci_completeness": relevance.completeness,
        "dci_informativeness": relevance.informativeness,
        "sap": sap(codes, factors, seed),
        "factor_vae": factor_vae(codes, factors, seed),
        "modularity": modularity(codes, factors),
    }
    return figures, {"information": information(codes, factors), "importance": relevance.importance}


def information(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Mutual information of each binned code and each factor, as a fraction of the factor's entropy: `[D, F]`."""
    binned = [np.digitize(code, np.histogram_bin_edges(code, BINS)[1:-1]) for code in codes.T]
    shared = [[mutual_info_score(code, factor) for factor in factors.T] for code in binned]
    return np.array(shared) / _entropies(factors)


def mig(codes: np.ndarray, factors: np.ndarray) -> float:
    """The mutual information gap (Chen et al. 2018, https://arxiv.org/abs/1802.04942, section 4.1): how far the most
    informative code of each factor is ahead of the next one.

    Bins bound it: perfect codes of a factor with many values V reach log(BINS) / log V.
    """
    return _gap(information(codes, factors))


def modularity(codes: np.ndarray, factors: np.ndarray) -> float:
    """Ridgeway & Mozer 2018, https://arxiv.org/abs/1802.05312: whether each code tells of one factor only.

    It does not ask how much a code tells, so that codes of pure noise can score well above 0.
    """
    squared = (information(codes, factors) * _entropies(factors)) ** 2  # in nats, as there
    most = squared.max(1)
    others = (squared.sum(1) - most) / np.maximum(most, 1e-12) / (factors.shape[1] - 1)
    return float(np.where(most > 1e-12, 1 - others, 0).mean())


class DCI(NamedTuple):
    """The figures of Eastwood & Williams 2018, and the importance of each code for each factor, `[D, F]`."""

    disentanglement: float
    completeness: float
    informativeness: float
    importance: np.ndarray


def dci(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> DCI:
    """Eastwood & Williams 2018, https://openreview.net/forum?id=By-7dz-AZ, section 2: whether a code matters to one
    factor only (disentanglement), and one code to a factor (completeness), by a random forest's importances.

    informativeness: the forest's balanced accuracy on a fifth of the rows, held out, above that of a guess.
    """
    seen, unseen, classes, answers = train_test_split(codes, factors, test_size=0.2, random_state=seed)
    columns, accuracies = [], []
    for factor, answer in zip(classes.T, answers.T, strict=True):
        # noise gains no importance where every split sees every code, and leaves are not too small; boosted trees, as
        # Locatello et al. have them, give nearly the same figures in ten times the time
        forest = RandomForestClassifier(50, max_features=None, min_samples_leaf=20, random_state=seed)
        forest.fit(seen, factor)
        columns.append(forest.feature_importances_)
        accuracies.append(_accuracy(answer, forest.predict(unseen)))
    importance = np.stack(columns, 1)
    weights = importance.sum(1) / len(columns)  # a column adds up to 1, or to 0 where no code tells anything
    disentangled = weights @ _concentration(importance)
    return DCI(float(disentangled), float(_concentration(importance.T).mean()), float(np.mean(accuracies)), importance)


def sap(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> float:
    """Separated attribute predictability (Kumar et al. 2018, https://arxiv.org/abs/1711.00848, section 3): how far the
    code that best predicts each factor is ahead of the next one.

    As there for classes: by thresholds on a single code, in balanced accuracy; here of held-out rows, above a guess.
    """
    seen, unseen, classes, answers = train_test_split(codes, factors, test_size=0.2, random_state=seed)
    accuracy = np.empty((codes.shape[1], factors.shape[1]))
    for d, f in np.ndindex(accuracy.shape):
        intervals = 2 * len(np.unique(factors[:, f]))  # a class may fill more than one
        tree = DecisionTreeClassifier(class_weight="balanced", max_leaf_nodes=intervals, random_state=seed)
        tree.fit(seen[:, [d]], classes[:, f])
        accuracy[d, f] = _accuracy(answers[:, f], tree.predict(unseen[:, [d]]))
    return _gap(accuracy)


def factor_vae(codes: np.ndarray, factors: np.ndarray, seed: int = 0, votes: int = 2000, rows: int = 64) -> float:
    """Kim & Mnih 2018, https://arxiv.org/abs/1802.05983, section 4: the accuracy of a majority vote on which factor was
    held fixed in a group of rows, from the code that varied least there; 1 / F by chance.

    votes: groups for each factor, and as many again to test the vote. rows: in a group, drawn from those of `codes`.
    """
    used = codes.var(0) >= COLLAPSED
    if not used.any():
        return 1 / factors.shape[1]
    codes = codes[:, used] / codes[:, used].std(0)
    random = np.random.default_rng(seed)
    table = np.zeros((2, codes.shape[1], factors.shape[1]), dtype=int)  # votes to learn from, and to test
    for f, factor in enumerate(factors.T):
        _, counts = np.unique(factor, return_counts=True)
        by_value, first = np.argsort(factor, kind="stable"), np.cumsum(counts) - counts
        for part in table:
            value = random.integers(len(counts), size=(votes, 1))
            groups = by_value[first[value] + random.integers(counts[value], size=(votes, rows))]
            part[:, f] = np.bincount(codes[groups].var(1).argmin(1), minlength=codes.shape[1])
    learnt, tested = table
    return float(tested[np.arange(codes.shape[1]), learnt.argmax(1)].sum() / tested.sum())


def _entropies(factors: np.ndarray) -> np.ndarray:
    """In nats, `[F]`."""
    return np.array([mutual_info_score(factor, factor) for factor in factors.T])


def _gap(scores: np.ndarray) -> float:
    """The highest of `[D, F]` for each factor less the second, on average; one code alone is ahead of nothing."""
    second, first = np.sort(np.vstack([np.zeros_like(scores[:1]), scores]), axis=0)[-2:]
    return float((first - second).mean())


def _concentration(importance: np.ndarray) -> np.ndarray:
    """1 less the entropy of each row, as a fraction of the largest: 1 where all lies in one place, 0 if nowhere."""
    total = importance.sum(1, keepdims=True)
    p = importance / np.where(total > 0, total, 1)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(1)
    return np.where(total[:, 0] > 0, np.maximum(0, 1 - entropy / np.log(max(2, p.shape[1]))), 0)


def _accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """The mean over the classes that are there, 0 for a guess and 1 at best."""
    classes = np.unique(true)
    guess = 1 / len(classes)
    accuracy = recall_score(true, predicted, labels=classes, average="macro")
    return max(0.0, float(accuracy - guess) / (1 - guess))
