"""Membership inference: whether synthetic rows reveal which rows a model was trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor

from vaekit.metrics.quality import nearest_distance


class Attack(NamedTuple):
    """How well scores separate members, i.e. training rows, from other rows.

    Args:
        auc: Probability that a member has a higher score than another row; 0.5 by chance.
        low: Lower limit of its confidence interval.
        high: Upper limit.
        hits: Fraction of the members above all but 1 % of the other rows; 0.01 by chance.
    """

    auc: float
    low: float
    high: float
    hits: float


def attack(members: Tensor, others: Tensor, confidence: float = 0.95) -> Attack:
    """The success of an attack by its scores, with a confidence interval of the AUC.

    At an AUC of 0 or 1 the interval has no width.

    Args:
        members: Scores of rows that the model was trained on, `[M]`; high for a row that is taken for a member.
        others: Scores of rows that it was not trained on, `[N]`.
        confidence: Of the interval.

    References:
        Elizabeth DeLong, David DeLong, Daniel Clarke-Pearson. Comparing the Areas under Two or More Correlated Receiver
            Operating Characteristic Curves. In Biometrics 44, 1988. https://doi.org/10.2307/2531595
        Nicholas Carlini et al. Membership Inference Attacks From First Principles. In IEEE S&P 2022.
            https://arxiv.org/abs/2112.03570

    Example:
        >>> import torch
        >>> from vaekit.metrics.membership import attack
        >>> attack(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1.0, 0.0])).auc
        0.9166666666666666
    """
    of_members, of_others = _below(members, others), 1 - _below(others, members)
    auc = float(of_members.mean())
    variance = float(of_members.var() / len(members) + of_others.var() / len(others))
    width = float(norm.ppf((1 + confidence) / 2)) * variance**0.5
    threshold = others.double().quantile(0.99)
    return Attack(
        auc, max(0.0, auc - width), min(1.0, auc + width), float((members.double() > threshold).double().mean())
    )


def _below(scores: Tensor, others: Tensor) -> Tensor:
    """The fraction of other scores below each score, ties by half."""
    ordered, scores = others.double().sort().values, scores.double().contiguous()
    below, up_to = (torch.searchsorted(ordered, scores, right=right) for right in (False, True))
    return (below + up_to).double() / (2 * len(others))


def scores(rows: Tensor, synthetic: Tensor, reference: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """The scores of three attacks that use the synthetic rows but not the model, `[N]` each; high for likely members.

    distance: minus the distance to the nearest synthetic row. density: log of the distance to the nearest reference row
    over the distance to the nearest synthetic row, an estimate of the ratio of their densities. classifier: logit of
    the probability that a row is synthetic, by gradient boosting trained on synthetic and reference rows.

    Args:
        rows: The rows to attack, `[N, D]`.
        synthetic: `[M, D]`.
        reference: Rows of the same population, which are neither attacked nor trained on, `[L, D]`.
        seed: Of the classifier.

    References:
        (distance) Dingfan Chen et al. GAN-Leaks. In CCS 2020. https://arxiv.org/abs/1909.03935
        (density) Boris van Breugel et al. Membership Inference Attacks against Synthetic Data through Overfitting
            Detection. In AISTATS 2023. https://arxiv.org/abs/2302.12580
        (classifier) Jamie Hayes et al. LOGAN: Membership Inference Attacks Against Generative Models. In PoPETs 2019.
            https://arxiv.org/abs/1705.07663

    Example:
        >>> import torch
        >>> from vaekit.metrics.membership import scores
        >>> reference = torch.arange(20.0).unsqueeze(1)
        >>> scores(torch.tensor([[3.0], [4.5]]), synthetic=reference, reference=reference)["distance"]
        tensor([-0.0000, -0.5000])
    """
    near, far = (nearest_distance(rows, each) for each in (synthetic, reference))
    least = 1e-6 * far.median().clamp(min=1e-30)  # added, as distances of copies are 0
    both = torch.cat([synthetic, reference]).cpu().numpy()
    classifier = HistGradientBoostingClassifier(class_weight="balanced", random_state=seed)
    classifier.fit(both, np.arange(len(both)) < len(synthetic))
    return {
        "distance": -near,
        "density": (far + least).log() - (near + least).log(),
        "classifier": torch.from_numpy(classifier.decision_function(rows.cpu().numpy())).float(),
    }
