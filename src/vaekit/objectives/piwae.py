"""A tight bound for the likelihood, a looser one with more signal for the posterior."""

import math

from torch import Tensor

from vaekit.objectives.weights import log_mean_exp, refuse_below_one, with_gradient_of, with_scaled_path
from vaekit.terms import Terms


class PIWAE:
    """Likelihood and prior climb IWAE(M K), the posterior climbs MIWAE(M, K), from the same samples.

    Rainforth et al. 2018, section 5.2. outer: M, inner: K. The loss that is shown is IWAE's.

    Cite: Tom Rainforth et al. Tighter Variational Bounds are Not Necessarily Better. In ICML 2018.
        https://arxiv.org/abs/1802.04537
    """

    needs = frozenset({"rsample", "log_prob", "density", "continuous", "single_level", "no_penalty"})  # rescales z's

    def __init__(self, outer: int = 5, inner: int = 10):
        refuse_below_one(outer=outer, inner=inner)
        self.outer, self.inner = outer, inner
        self.num_samples = outer * inner

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        log_w = terms.log_w.detach()
        groups = log_w.unflatten(0, (self.inner, self.outer))
        tight = log_w.softmax(0)
        loose = groups.softmax(0).flatten(0, 1) / self.outer
        # loose / tight, which is the same for all samples of a group; bounded where a group weighs nothing at all
        ratio = (log_w.logsumexp(0) - groups.logsumexp(0) - math.log(self.outer)).clamp_max(50).exp()
        # through z the posterior hears `loose`; its score, which z does not carry, is set right beside
        surrogate = tight * with_scaled_path(terms, ratio.repeat(self.inner, 1)) + (loose - tight) * terms.score * -1
        return -with_gradient_of(log_mean_exp(terms.log_w), surrogate.sum(0))
