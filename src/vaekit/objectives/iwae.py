"""The importance-weighted bound, with three gradient estimators."""

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

    Args:
        num_samples: Number K of draws of z for each example; 50 as in the paper.
        gradient: `standard`; `stl`, which drops the score of the posterior (Roeder et al. 2017); or `dreg`, doubly
            reparameterized, unbiased and with a signal-to-noise ratio that grows with K (Tucker et al. 2019, equation
            8). The value of the loss is the same for all three.

    Raises:
        Refusal: If `num_samples` is below 1 or `gradient` is unknown.

    References:
        Yuri Burda, Roger Grosse, Ruslan Salakhutdinov. Importance Weighted Autoencoders. In ICLR 2016.
            https://arxiv.org/abs/1509.00519
        (gradient=stl) Geoffrey Roeder, Yuhuai Wu, David Duvenaud. Sticking the Landing: Simple, Lower-Variance Gradient
            Estimators for Variational Inference. In NeurIPS 2017. https://arxiv.org/abs/1703.09194
        (gradient=dreg) George Tucker et al. Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives. In
            ICLR 2019. https://arxiv.org/abs/1810.04152

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.objectives.iwae import IWAE
        >>> terms = SimpleNamespace(log_w=torch.tensor([[0.0], [0.0]]))   # [K, B], nats
        >>> abs(IWAE(num_samples=2)(terms, epoch=None))
        tensor([0.])
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
        if gradient != "standard":  # needs the score at fixed z, which lower levels lack
            requires |= {Capability.SINGLE_LEVEL, Capability.DENSITY, Capability.INDEPENDENT_DRAWS}
        if gradient == "dreg":  # rescales the whole gradient through z, that of a penalty included
            requires |= {Capability.NO_PENALTY}
        return requires

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        bound = log_mean_exp(terms.log_w)
        if self.gradient == "standard":
            return -bound
        weights = terms.log_w.detach().softmax(0)
        # dreg: the gradient through z is weighted twice, that of likelihood and prior once
        log_w = with_scaled_path(terms, weights) if self.gradient == "dreg" else terms.log_w
        return -with_gradient_of(bound, (weights * (log_w + terms.score)).sum(0))
