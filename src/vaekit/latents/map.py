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
    """The only level: a posterior that reads the features as the map they are."""

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        return self.posterior(features)


class Map(Tower):
    """One latent variable: `dim` numbers at each place of the map that the network makes of x.

    features, posterior, prior, latent: see `vaekit.latents.tower.Tower`.

    References:
        none
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
            raise Refusal(f"latents=map reads no condition; use {choice('latents', 'single')}, or '~condition'.")
        at_least_one(dim=(dim, 64))
        shape = (dim, *features[1:])
        q: Any = posterior(features, latent(shape))
        self.levels = nn.ModuleList([MapLevel(q, prior(q.space))])
        self.out_shape, self.numbers = shape, features[0] * features[1] * features[2]
