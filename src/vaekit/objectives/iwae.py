"""The importance-weighted bound, with three estimators of its gradient."""

import math

from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.vae import Terms


class IWAE:
    """-log 1/K sum_k p(x, z_k) / q(z_k | x) (Burda et al. 2016, https://arxiv.org/abs/1509.00519, equation 8).

    gradient: `standard`; `stl`, which drops the posterior's score (Roeder et al. 2017,
    https://arxiv.org/abs/1703.09194); or `dreg`, doubly reparameterised, unbiased and with a signal that grows with
    K (Tucker et al. 2019, https://arxiv.org/abs/1810.04152, equation 8). All three have the same value.
    """

    def __init__(self, num_samples: int = 50, gradient: str = "standard"):
        if num_samples < 1:
            raise Refusal(f"objective.num_samples={num_samples} must be at least 1; use objective.num_samples=50.")
        if gradient not in ("standard", "stl", "dreg"):
            raise Refusal(f"objective.gradient={gradient} is unknown; use objective.gradient=standard, stl or dreg.")
        self.num_samples, self.gradient = num_samples, gradient
        # both drop the score at a fixed z, which in a taller tower is not what is left when upper levels move
        self.needs = frozenset({"rsample", "log_prob"} | ({"single_level"} if gradient != "standard" else set()))

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        log_w = terms.log_w
        bound = log_w.logsumexp(0) - math.log(len(log_w))
        if self.gradient == "standard":
            return -bound
        (step,) = terms.steps
        score = step.q.log_prob(step.z.detach())  # its gradient reaches the posterior's parameters alone
        path = log_w + (score - score.detach())
        weights = log_w.detach().softmax(0)
        if self.gradient == "dreg" and step.z.requires_grad:
            # what reaches the posterior through z is weighted a second time; likelihood and prior are not
            step.z.register_hook(lambda grad: grad * weights.reshape(*weights.shape, *[1] * (grad.dim() - 2)))
        surrogate = (weights * path).sum(0)
        return -(bound.detach() + surrogate - surrogate.detach())
