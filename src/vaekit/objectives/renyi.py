"""Renyi's family of bounds."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class Renyi(Objective):
    """-1 / (1 - alpha) log 1/K sum_k w_k^(1 - alpha).

    Li and Turner 2016, equation 7.
    alpha = 0 is IWAE, alpha -> 1 the ELBO, alpha < 0 lies above the likelihood as K grows.

    References:
        Yingzhen Li, Richard Turner. Rényi Divergence Variational Inference. In NeurIPS 2016.
            https://arxiv.org/abs/1602.02311
    """

    requires = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.CONTINUOUS})

    def __init__(self, alpha: float = 0.5, num_samples: int = 50):
        at_least_one(num_samples=(num_samples, 10))
        self.alpha, self.num_samples = alpha, num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        if self.alpha == 1:
            return -terms.log_w.mean(0)
        return -log_mean_exp((1 - self.alpha) * terms.log_w) / (1 - self.alpha)
