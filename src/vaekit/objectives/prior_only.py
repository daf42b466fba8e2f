"""A second stage: the prior learns where a posterior puts its mass."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class PriorOnly(Objective):
    """-log p(z) at draws from the posterior (Dai and Wipf 2019, section 4), which are held fixed.

    Nothing moves but the prior and what it is made of: vamp and exemplar call the encoder, and move it with them.
    task=fit_prior holds the encoder fixed for every prior.

    References:
        Bin Dai, David Wipf. Diagnosing and Enhancing VAE Models. In ICLR 2019. https://arxiv.org/abs/1903.05789
    """

    requires = frozenset({Capability.SINGLE_LEVEL, Capability.LEARNED_PRIOR, Capability.NO_PENALTY})

    def __init__(self, num_samples: int = 1):
        at_least_one(num_samples=(num_samples, 10))
        self.num_samples = num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        (step,) = terms.steps
        return -step.p.log_prob(step.z.detach()).mean(0)
