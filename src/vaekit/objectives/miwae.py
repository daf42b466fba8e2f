"""The mean of M importance-weighted bounds."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class MIWAE(Objective):
    """The mean over M groups of the IWAE bound with K samples each (Rainforth et al. 2018, equation 9).

    MIWAE(1, K) is IWAE(K), and MIWAE(M, 1) the ELBO with M samples.

    Args:
        outer: Number M of groups.
        inner: Number K of draws of z in each group.

    Raises:
        Refusal: If a number is below 1.

    References:
        Tom Rainforth et al. Tighter Variational Bounds are Not Necessarily Better. In ICML 2018.
            https://arxiv.org/abs/1802.04537

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.objectives.miwae import MIWAE
        >>> terms = SimpleNamespace(log_w=torch.tensor([[1.0], [3.0]]))   # [M * K, B], nats
        >>> MIWAE(outer=2, inner=1)(terms, epoch=None)
        tensor([-2.])
    """

    requires = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.CONTINUOUS})

    def __init__(self, outer: int = 5, inner: int = 10):
        at_least_one(outer=(outer, 10), inner=(inner, 10))
        self.outer, self.inner = outer, inner
        self.num_samples = outer * inner

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        log_w = terms.log_w.unflatten(0, (self.inner, self.outer))
        return -log_mean_exp(log_w).mean(0)
