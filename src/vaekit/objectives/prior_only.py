"""Training of the prior alone, on draws from the posterior."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.distributions.fitting import fitting_loss
from vaekit.objectives.objective import Objective
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class PriorOnly(Objective):
    """-log p(z) at draws from the posterior, through which no gradient passes (Dai and Wipf 2019, section 4).

    A prior with a loss of its own, e.g. flow_matching, has that loss in its place.

    Only the prior and what it is built from are trained. vamp and exemplar use the encoder, which is then trained as
    well; task=fit_prior keeps the encoder fixed for every prior.

    Args:
        num_samples: Number of draws of z for each example.

    Raises:
        Refusal: If `num_samples` is below 1.

    References:
        Bin Dai, David Wipf. Diagnosing and Enhancing VAE Models. In ICLR 2019. https://arxiv.org/abs/1903.05789

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from torch.distributions import Normal
        >>> from vaekit.objectives.prior_only import PriorOnly
        >>> step = SimpleNamespace(z=torch.zeros(1, 4), p=Normal(0.0, 1.0))   # [K, B]
        >>> PriorOnly()(SimpleNamespace(steps=[step]), epoch=None)
        tensor([0.9189, 0.9189, 0.9189, 0.9189])
    """

    requires = frozenset({Capability.SINGLE_LEVEL, Capability.LEARNED_PRIOR, Capability.NO_PENALTY})

    def __init__(self, num_samples: int = 1):
        at_least_one(num_samples=(num_samples, 10))
        self.num_samples = num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        (step,) = terms.steps
        return fitting_loss(step.p, step.z.detach()).mean(0)
