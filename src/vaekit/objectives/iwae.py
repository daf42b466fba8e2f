"""The importance-weighted bound, with three estimators of its gradient."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.objectives.weights import log_mean_exp, with_gradient_of, with_scaled_path
from vaekit.refusal import at_least_one, one_of
from vaekit.terms import Terms


class IWAE(Objective):
    """-log 1/K sum_k p(x, z_k) / q(z_k | x) (Burda et al. 2016, equation 8).

    gradient: `standard`; `stl`, which drops the posterior's score (Roeder et al. 2017); or `dreg`, doubly
    reparameterised, unbiased and with a signal that grows with K (Tucker et al. 2019, equation 8). All three have the
    same value.

    References:
        Yuri Burda, Roger Grosse, Ruslan Salakhutdinov. Importance Weighted Autoencoders. In ICLR 2016.
            https://arxiv.org/abs/1509.00519
        (gradient=stl) Geoffrey Roeder, Yuhuai Wu, David Duvenaud. Sticking the Landing: Simple, Lower-Variance Gradient
            Estimators for Variational Inference. In NeurIPS 2017. https://arxiv.org/abs/1703.09194
        (gradient=dreg) George Tucker et al. Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives. In
            ICLR 2019. https://arxiv.org/abs/1810.04152
    """

    requires = frozenset(
        {Capability.RSAMPLE, Capability.LOG_PROB, Capability.CONTINUOUS}
    )  # weights have a gradient along z

    def __init__(self, num_samples: int = 50, gradient: str = "standard"):
        at_least_one(num_samples=(num_samples, 10))
        one_of(gradient=(gradient, ("standard", "stl", "dreg")))
        self.num_samples, self.gradient = num_samples, gradient

    @classmethod
    def requires_with(cls, settings: Mapping[str, Any]) -> frozenset[Capability]:
        gradient = settings.get("gradient", "standard")
        requires = cls.requires
        if gradient != "standard":  # drops the score at a fixed z: not what is left in a tower when upper levels move
            requires |= {Capability.SINGLE_LEVEL, Capability.DENSITY, Capability.INDEPENDENT_DRAWS}
        if gradient == "dreg":  # rescales the gradient that reaches the posterior through z, whoever sends it
            requires |= {Capability.NO_PENALTY}
        return requires

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        bound = log_mean_exp(terms.log_w)
        if self.gradient == "standard":
            return -bound
        weights = terms.log_w.detach().softmax(0)
        # dreg: what reaches the posterior through z is weighted a second time; likelihood and prior are not
        log_w = with_scaled_path(terms, weights) if self.gradient == "dreg" else terms.log_w
        return -with_gradient_of(bound, (weights * (log_w + terms.score)).sum(0))
