"""The tower of height one: the flat VAE."""

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from vaekit.latents.ladder import Rung
from vaekit.latents.tower import Tower


class Single(Tower):
    """One latent variable of `dim` dimensions.

    features, posterior, prior, latent: see `vaekit.latents.tower.Tower`.

    Cite: none
    """

    def __init__(
        self,
        features: tuple[int, ...],
        posterior: Callable[[tuple[int, ...], Any], nn.Module],
        prior: Callable[[Any], nn.Module],
        latent: Callable[[tuple[int, ...]], Any],
        dim: int,
    ):
        super().__init__()
        space = latent((dim,))
        self.levels = nn.ModuleList([Rung(posterior((math.prod(features),), space), prior(space))])
        self.out_shape = (dim,)
