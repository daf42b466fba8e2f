"""One latent map."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.latents.ladder import LevelBlock
from vaekit.latents.tower import Tower
from vaekit.priors.prior import Prior
from vaekit.refusal import Refusal, at_least_one, choice


class MapLevel(LevelBlock):
    """A level whose posterior reads the features as a map instead of flat."""

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        return self.posterior(features)


class Map(Tower):
    """One latent map: `dim` numbers at each position of the network's map of features.

    Args:
        features: Shape of the network's map, (C, h, w).
        posterior: `posterior(context_shape, space)` builds q(z | x).
        prior: `prior(space)` builds p(z).
        latent: `latent(shape)` builds the space of z.
        dim: Channels of z.
        condition: Must be 0: a map of latents takes no condition.

    Raises:
        Refusal: If there is a condition, or `dim` is below 1.

    References:
        none

    Example:
        >>> from vaekit.latents.map import Map
        >>> from vaekit.posteriors.gaussian import Gaussian
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.spaces import Real
        >>> Map((64, 7, 7), Gaussian, StandardNormal, Real, dim=4).out_shape
        (4, 7, 7)
    """

    requires = frozenset({Capability.MAPS})

    def __init__(
        self,
        features: tuple[int, ...],
        posterior: Callable[[tuple[int, ...], Any], nn.Module],
        prior: Callable[[Any], Prior],
        latent: Callable[[tuple[int, ...]], Any],
        dim: int = 64,
        condition: int = 0,
    ):
        super().__init__()
        if condition:
            raise Refusal(f"latents=map cannot be conditioned; use {choice('latents', 'single')}, or '~condition'.")
        at_least_one(dim=(dim, 64))
        shape = (dim, *features[1:])
        q: Any = posterior(features, latent(shape))
        self.levels = nn.ModuleList([MapLevel(q, prior(q.space))])
        self.out_shape, self.num_features = shape, features[0] * features[1] * features[2]
