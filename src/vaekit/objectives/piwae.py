"""A tight bound for the likelihood, and a looser one with a stronger gradient for the posterior."""

import math

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp, with_gradient_of, with_scaled_path
from vaekit.refusal import at_least_one
from vaekit.terms import Terms

LEAST = -35.0  # of the log of a weight: 6e-16


class PIWAE(Objective):
    """Likelihood and prior maximize IWAE(M K), the posterior maximizes MIWAE(M, K), from the same samples.

    Rainforth et al. 2018, section 5.2. The value of the loss is that of IWAE(M K).

    Args:
        outer: Number M of groups.
        inner: Number K of draws of z in each group.

    Raises:
        Refusal: If a number is below 1.

    References:
        Tom Rainforth et al. Tighter Variational Bounds are Not Necessarily Better. In ICML 2018.
            https://arxiv.org/abs/1802.04537

    Example:
        >>> from vaekit.objectives.piwae import PIWAE
        >>> PIWAE(outer=5, inner=10).num_samples
        50
    """

    requires = frozenset(
        {
            Capability.RSAMPLE,
            Capability.LOG_PROB,
            Capability.DENSITY,
            Capability.CONTINUOUS,
            Capability.SINGLE_LEVEL,
            Capability.NO_PENALTY,
        }
    )  # rescales z's

    def __init__(self, outer: int = 5, inner: int = 10):
        at_least_one(outer=(outer, 10), inner=(inner, 10))
        self.outer, self.inner = outer, inner
        self.num_samples = outer * inner

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        log_w = terms.log_w.detach()
        groups = log_w.unflatten(0, (self.inner, self.outer))
        # The gradient that reaches z has the factor `tight`, and is multiplied by loose / tight there. So tight must
        # not underflow, however far apart the weights are; the bound changes the likelihood's gradient by less than
        # rounding does.
        log_tight = log_w.log_softmax(0).clamp_min(LEAST)
        log_loose = groups.log_softmax(0).flatten(0, 1) - math.log(self.outer)
        tight, loose = log_tight.exp(), log_loose.exp()
        # the posterior's gradient has the weights `loose`, both through z and through its score
        surrogate = tight * with_scaled_path(terms, (log_loose - log_tight).exp()) + (loose - tight) * terms.score * -1
        return -with_gradient_of(log_mean_exp(terms.log_w), surrogate.sum(0))
