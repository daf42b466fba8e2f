"""The base class of posteriors on the sphere, and their parameters."""

from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from vaekit.capabilities import Capability
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Sphere


class Direction(nn.Module):
    """Context `[B, ...]` -> a unit vector `[B, d]` and a concentration `[B]` above 1.

    At concentrations below 1 a distribution on the sphere is nearly uniform and gradients vanish.

    Args:
        context_shape: Shape of the features of a row.
        d: Dimensions of the sphere's space, for S^(d-1) in R^d.

    Example:
        >>> import torch
        >>> from vaekit.posteriors.directional import Direction
        >>> loc, concentration = Direction((8,), 3)(torch.randn(5, 8))
        >>> loc.shape, bool((concentration > 1).all())
        (torch.Size([5, 3]), True)
    """

    def __init__(self, context_shape: tuple[int, ...], d: int):
        super().__init__()
        self.head = head(context_shape, d, rest=1)

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor]:
        out = full_precision(self.head(context.flatten(1)))
        return normalize(out[:, :-1], dim=-1), softplus(out[:, -1]) + 1


class Directional(Posterior):
    """A distribution on the unit sphere, of a `direction` and a concentration.

    Args:
        context_shape: Shape of the features of a row.
        space: The space of z.
    """

    latent = Sphere
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN})

    def __init__(self, context_shape: tuple[int, ...], space: Sphere):
        super().__init__()
        self.space = space
        self.direction = Direction(context_shape, space.size)
