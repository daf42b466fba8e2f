"""The importance-weighted bound for latents that no gradient passes through."""

import math

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp, with_gradient_of, with_scaled_path
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.terms import Terms


class VIMCO(Objective):
    """-log 1/K sum_k p(x, z_k) / q(z_k | x), as IWAE's, with an unbiased gradient that needs no path through z.

    Mnih and Rezende 2016, equations 9 and 10: each draw's score is weighed by how much the bound owes to that draw,
    that is, less what the bound would be with the geometric mean of the others in its stead.

    References:
        Andriy Mnih, Danilo Rezende. Variational Inference for Monte Carlo Objectives. In ICML 2016.
            https://arxiv.org/abs/1602.06725
    """

    # no gradient passes through z
    requires = frozenset(
        {
            Capability.LOG_PROB,
            Capability.DENSITY,
            Capability.SINGLE_LEVEL,
            Capability.NO_PENALTY,
            Capability.INDEPENDENT_DRAWS,
        }
    )

    def __init__(self, num_samples: int = 10):
        at_least_one(num_samples=(num_samples, 10))
        if num_samples == 1:
            raise Refusal(f"objective=vimco compares draws, and needs two at least; use {setting('num_samples')}=10.")
        self.num_samples = num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        log_w = terms.log_w.detach()
        bound = log_mean_exp(with_scaled_path(terms, torch.zeros_like(log_w)))
        owed = bound.detach() - without_each(log_w)
        return -with_gradient_of(bound, bound + (owed * terms.score).sum(0))


def without_each(log_w: Tensor) -> Tensor:
    """`[K, B]`: the bound with each weight in turn replaced by the geometric mean of the others."""
    samples = len(log_w)
    others = (log_w.sum(0) - log_w) / (samples - 1)
    own = torch.eye(samples, dtype=torch.bool, device=log_w.device).unsqueeze(2)
    return torch.where(own, others, log_w).logsumexp(1) - math.log(samples)
