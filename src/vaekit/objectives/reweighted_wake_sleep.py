"""Training of posteriors without a reparameterized gradient."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp, with_gradient_of, with_scaled_path
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class ReweightedWakeSleep(Objective):
    """Likelihood and prior maximize IWAE; the posterior maximizes sum_k w_k log q(z_k | x), the wake phase.

    Bornschein and Bengio 2015, sections 2.2 and 2.3; Le et al. 2019. No gradient passes through z, so z may be
    discrete. The value of the loss is that of IWAE.

    Args:
        num_samples: Number of draws of z for each example.

    Raises:
        Refusal: If `num_samples` is below 1.

    References:
        Jörg Bornschein, Yoshua Bengio. Reweighted Wake-Sleep. In ICLR 2015. https://arxiv.org/abs/1406.2751
        Tuan Anh Le et al. Revisiting Reweighted Wake-Sleep for Models with Stochastic Control Flow. In UAI 2019.
            https://arxiv.org/abs/1805.10469

    Example:
        >>> from vaekit.objectives.reweighted_wake_sleep import ReweightedWakeSleep
        >>> ReweightedWakeSleep(num_samples=10).num_samples
        10
    """

    requires = frozenset(
        {Capability.LOG_PROB, Capability.DENSITY, Capability.SINGLE_LEVEL, Capability.NO_PENALTY}
    )  # no gradient passes through z

    def __init__(self, num_samples: int = 50):
        at_least_one(num_samples=(num_samples, 10))
        self.num_samples = num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        weights = terms.log_w.detach().softmax(0)
        log_w = with_scaled_path(terms, torch.zeros_like(weights))
        # log_w contains -log q; adding its score twice turns this into +log q
        surrogate = weights * (log_w + 2 * terms.score)
        return -with_gradient_of(log_mean_exp(terms.log_w), surrogate.sum(0))
