"""A tight bound for the likelihood, a looser one with more signal for the posterior."""

import math

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp, with_gradient_of, with_scaled_path
from vaekit.refusal import at_least_one
from vaekit.terms import Terms

LEAST = -35.0  # of the log of a weight: 6e-16


class PIWAE(Objective):
    """Likelihood and prior climb IWAE(M K), the posterior climbs MIWAE(M, K), from the same samples.

    Rainforth et al. 2018, section 5.2. outer: M, inner: K. The loss that is shown is IWAE's.

    References:
        Tom Rainforth et al. Tighter Variational Bounds are Not Necessarily Better. In ICML 2018.
            https://arxiv.org/abs/1802.04537
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
        # the loss reaches z multiplied by `tight`, and is multiplied by loose / tight there: so tight must not vanish,
        # however far apart the weights are. What this adds to the likelihood's gradient is below rounding.
        log_tight = log_w.log_softmax(0).clamp_min(LEAST)
        log_loose = groups.log_softmax(0).flatten(0, 1) - math.log(self.outer)
        tight, loose = log_tight.exp(), log_loose.exp()
        # the posterior's gradient through z has the weights `loose`; so has its score, which does not go through z
        surrogate = tight * with_scaled_path(terms, (log_loose - log_tight).exp()) + (loose - tight) * terms.score * -1
        return -with_gradient_of(log_mean_exp(terms.log_w), surrogate.sum(0))
