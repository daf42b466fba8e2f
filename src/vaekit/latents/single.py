"""One latent vector: the flat VAE."""

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from vaekit.latents.ladder import LevelBlock, mlp
from vaekit.latents.tower import Tower, top_prior
from vaekit.refusal import at_least_one


class Single(Tower):
    """One latent vector of `dim` dimensions.

    Args:
        features: Shape of the network's output for a row.
        posterior: `posterior(context_shape, space)` builds q(z | x).
        prior: `prior(space)` builds p(z).
        latent: `latent(shape)` builds the space of z.
        dim: Dimensions of z.
        condition: Number of features of the condition, 0 without one.

    Raises:
        Refusal: If `dim` is below 1.

    References:
        none

    Example:
        >>> from vaekit.latents.single import Single
        >>> from vaekit.posteriors.gaussian import Gaussian
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.spaces import Real
        >>> Single((256,), Gaussian, StandardNormal, Real, dim=32).levels[0].space.shape
        (32,)
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
        space, self.num_features = latent((dim,)), math.prod(features)
        posterior_mlp = mlp(self.num_features + condition, self.num_features) if condition else None
        q: Any = posterior((self.num_features,), space)
        p = top_prior(prior, (condition,), condition)(q.space)  # the posterior of codes states how many there are
        self.levels = nn.ModuleList([LevelBlock(q, p, posterior_mlp=posterior_mlp)])
        self.out_shape = (dim + condition,)
