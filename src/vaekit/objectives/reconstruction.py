"""The autoencoder's objective."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class Reconstruction(Objective):
    """-log p(x | z) alone: a posterior without noise makes it an autoencoder (AE, RAE, WAE with its penalty).

    References:
        none
    """

    requires = frozenset({Capability.RSAMPLE})

    def __init__(self, num_samples: int = 1):
        at_least_one(num_samples=(num_samples, 10))
        self.num_samples = num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        return terms.distortion
