"""The tower of height one: the flat VAE."""

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from vaekit.latents.ladder import LevelBlock, block
from vaekit.latents.tower import Tower, given
from vaekit.refusal import at_least_one


class Single(Tower):
    """One latent variable of `dim` dimensions.

    features, posterior, prior, latent, condition: see `vaekit.latents.tower.Tower`.

    References:
        none
    """

    def __init__(
        self,
        features: tuple[int, ...],
        posterior: Callable[[tuple[int, ...], Any], nn.Module],
        prior: Callable[[Any], nn.Module],
        latent: Callable[[tuple[int, ...]], Any],
        dim: int,
        condition: int = 0,
    ):
        super().__init__()
        at_least_one(dim=(dim, 32))
        space, self.numbers = latent((dim,)), math.prod(features)
        posterior_mlp = block(self.numbers + condition, self.numbers) if condition else None
        q: Any = posterior((self.numbers,), space)
        p = given(prior, (condition,), condition)(q.space)  # of codes, the posterior knows which there are
        self.levels = nn.ModuleList([LevelBlock(q, p, posterior_mlp=posterior_mlp)])
        self.out_shape = (dim + condition,)
