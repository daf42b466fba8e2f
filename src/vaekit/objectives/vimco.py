"""The importance-weighted bound for discrete latents."""

import math

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp, with_gradient_of, with_scaled_path
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.terms import Terms


class VIMCO(Objective):
    """-log 1/K sum_k p(x, z_k) / q(z_k | x), with an unbiased gradient that does not pass through z.

    Mnih and Rezende 2016, equations 9 and 10: the score of each draw is weighted by the difference between the bound
    and the bound in which that draw's weight is replaced by the geometric mean of the others.

    Args:
        num_samples: Number K of draws of z for each example, at least 2.

    Raises:
        Refusal: If `num_samples` is below 2.

    References:
        Andriy Mnih, Danilo Rezende. Variational Inference for Monte Carlo Objectives. In ICML 2016.
            https://arxiv.org/abs/1602.06725

    Example:
        >>> from vaekit.objectives.vimco import VIMCO
        >>> VIMCO(num_samples=5).num_samples
        5
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
    """The bounds in which each weight in turn is replaced by the geometric mean of the others.

    Args:
        log_w: Log importance weights `[K, B]`, with K at least 2.

    Returns:
        `[K, B]`, nats.

    Example:
        >>> import torch
        >>> from vaekit.objectives.vimco import without_each
        >>> without_each(torch.tensor([[1.0], [3.0]]))
        tensor([[3.],
                [1.]])
    """
    samples = len(log_w)
    others = (log_w.sum(0) - log_w) / (samples - 1)
    own = torch.eye(samples, dtype=torch.bool, device=log_w.device).unsqueeze(2)
    return torch.where(own, others, log_w).logsumexp(1) - math.log(samples)
