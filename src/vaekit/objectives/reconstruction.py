"""The objective of an autoencoder."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.refusal import at_least_one
from vaekit.terms import Terms


class Reconstruction(Objective):
    """-log p(x | z) without a rate. With a deterministic posterior it trains an autoencoder (AE, RAE; with a penalty,
    WAE).

    Args:
        num_samples: Number of draws of z for each example.

    Raises:
        Refusal: If `num_samples` is below 1.

    References:
        none

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.objectives.reconstruction import Reconstruction
        >>> Reconstruction()(SimpleNamespace(distortion=torch.tensor([90.0])), epoch=None)
        tensor([90.])
    """

    requires = frozenset({Capability.RSAMPLE})

    def __init__(self, num_samples: int = 1):
        at_least_one(num_samples=(num_samples, 10))
        self.num_samples = num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        return terms.distortion
