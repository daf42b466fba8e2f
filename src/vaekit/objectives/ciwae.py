"""A convex combination of the ELBO and the importance-weighted bound."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp
from vaekit.refusal import at_least_one
from vaekit.schedules.schedule import Schedule, at, refuse_below
from vaekit.terms import Terms


class CIWAE(Objective):
    """-(beta * ELBO + (1 - beta) * IWAE), from the same K samples (Rainforth et al. 2018, equation 11).

    Args:
        beta: Weight of the ELBO, from 0 (IWAE) to 1.
        num_samples: Number K of draws of z for each example.

    Raises:
        Refusal: If `num_samples` is below 1 or the final `beta` below 0.

    References:
        Tom Rainforth et al. Tighter Variational Bounds are Not Necessarily Better. In ICML 2018.
            https://arxiv.org/abs/1802.04537

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.objectives.ciwae import CIWAE
        >>> terms = SimpleNamespace(log_w=torch.tensor([[1.0], [3.0]]))   # [K, B], nats
        >>> CIWAE(beta=1.0, num_samples=2)(terms, epoch=None)
        tensor([-2.])
    """

    requires = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.CONTINUOUS})

    def __init__(self, beta: float | Schedule = 0.5, num_samples: int = 50):
        at_least_one(num_samples=(num_samples, 10))
        refuse_below(0.0, objective__beta=beta)
        self.beta, self.num_samples = beta, num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        beta = at(self.beta, epoch)
        return -(beta * terms.log_w.mean(0) + (1 - beta) * log_mean_exp(terms.log_w))
