"""Training from few labeled and many unlabeled rows."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.schedules.schedule import Schedule, at, refuse_below
from vaekit.terms import Terms


class SemiSupervised(Objective):
    """-ELBO of log p(x, y) plus -alpha log q(y | x) for labeled rows; -ELBO of log p(x) for unlabeled rows (label
    -1).

    The latter sums over all y in place of draws. Kingma et al. 2014, equations 6, 7 and 9. Validation and test use no
    label: their loss is -ELBO of log p(x) for every row.

    Args:
        alpha: Weight of the classifier's cross-entropy on labeled rows.
        beta: Weight of the rates of the levels below y.

    Raises:
        Refusal: If the final `alpha` or `beta` is below 0.

    References:
        Diederik Kingma et al. Semi-Supervised Learning with Deep Generative Models. In NeurIPS 2014.
            https://arxiv.org/abs/1406.5298

    Example:
        >>> from vaekit.objectives.semi_supervised import SemiSupervised
        >>> SemiSupervised(alpha=50.0).num_samples is None   # every class once
        True
    """

    requires = frozenset({Capability.LABELLED, Capability.LOG_PROB})
    num_samples = None  # every class once

    def __init__(self, alpha: float | Schedule = 100.0, beta: float | Schedule = 1.0):
        refuse_below(0.0, objective__alpha=alpha, objective__beta=beta)
        self.alpha, self.beta = alpha, beta

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        beta, (of_y, *rates) = at(self.beta, epoch), terms.rates
        unlabeled = terms.distortion + of_y + beta * sum(rates)
        label = terms.batch.label
        if label is None or epoch is None:
            return unlabeled
        row, y = torch.arange(len(label), device=label.device), label.clamp(min=0)
        each = [
            kl if kl is not None else terms.log_qz[level] - terms.log_pz[level] for level, kl in enumerate(terms.kl)
        ]
        below = beta * sum(each[1:]) - terms.log_px  # [K, B]
        labeled = below[y, row] - terms.log_pz[0][y, row] - at(self.alpha, epoch) * terms.log_qz[0][y, row]
        return torch.where(label < 0, unlabeled, labeled)
