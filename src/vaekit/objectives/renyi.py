"""The variational Renyi bound."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class Renyi(Objective):
    """-1 / (1 - alpha) log 1/K sum_k w_k^(1 - alpha), w_k = p(x, z_k) / q(z_k | x) (Li and Turner 2016, equation 7).

    Args:
        alpha: 0 gives IWAE and 1 the ELBO; below 0 the bound exceeds log p(x) for large K.
        num_samples: Number K of draws of z for each example.

    Raises:
        Refusal: If `num_samples` is below 1.

    References:
        Yingzhen Li, Richard Turner. Rényi Divergence Variational Inference. In NeurIPS 2016.
            https://arxiv.org/abs/1602.02311

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.objectives.renyi import Renyi
        >>> terms = SimpleNamespace(log_w=torch.tensor([[1.0], [3.0]]))   # [K, B], nats
        >>> Renyi(alpha=1, num_samples=2)(terms, epoch=None)
        tensor([-2.])
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
