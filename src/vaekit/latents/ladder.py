"""A hierarchy of latent vectors."""

import math
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.latents.tower import Tower, top_prior
from vaekit.networks.bottom_up import BottomUp
from vaekit.networks.glorot import glorot
from vaekit.posteriors.posterior import Posterior
from vaekit.priors.prior import Prior
from vaekit.refusal import at_least_one


class LevelBlock(nn.Module):
    """One level: a posterior of its features and the state above, and a prior of that state.

    At the top, the state above is a condition, or None.

    Args:
        posterior: Over the level's z.
        prior: Over the same space.
        feature_slice: Which of all features are those of this level.
        posterior_mlp: Maps features and state, concatenated, to the posterior's context; None for the identity.
        state_mlp: Maps z and state, concatenated, to the state below; None for the identity.
        prior_only: Only the prior reads the state above; the posterior reads the features alone, the likelihood z
            alone.
    """

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior,
        feature_slice: slice = slice(None),
        posterior_mlp: nn.Module | None = None,
        state_mlp: nn.Module | None = None,
        prior_only: bool = False,
    ):
        super().__init__()
        self.posterior, self.prior, self.feature_slice, self.prior_only = posterior, prior, feature_slice, prior_only
        self.posterior_mlp, self.state_mlp = posterior_mlp or nn.Identity(), state_mlp or nn.Identity()
        self.space, self.gives = posterior.space, posterior.gives

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        own = features.flatten(1)[:, self.feature_slice]
        return self.posterior(own if self.prior_only else self.posterior_mlp(concatenate(own, state)))

    def generate(self, state: Tensor | None) -> Distribution:
        return self.prior(state)

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        z = self.posterior.embed(z)
        return z if self.prior_only else self.state_mlp(concatenate(z, state))


def concatenate(x: Tensor, state: Tensor | None) -> Tensor:
    """x followed by the state, with their leading dimensions broadcast.

    Args:
        x: `[..., F]`.
        state: `[..., S]`, or None for x alone.

    Returns:
        `[..., F + S]`.

    Example:
        >>> import torch
        >>> from vaekit.latents.ladder import concatenate
        >>> concatenate(torch.zeros(5, 2), torch.zeros(3, 1, 4)).shape
        torch.Size([3, 5, 6])
    """
    if state is None:
        return x
    lead = torch.broadcast_shapes(x.shape[:-1], state.shape[:-1])
    return torch.cat([x.expand(*lead, -1), state.expand(*lead, -1)], -1)


def mlp(into: int, out: int) -> nn.Sequential:
    """Two linear layers, each with layer normalization and an activation: `[..., into]` -> `[..., out]`.

    Args:
        into: Number of inputs.
        out: Number of outputs.
    """
    layers = [(nn.Linear(a, out), nn.LayerNorm(out), nn.SiLU()) for a in (into, out)]
    return glorot(nn.Sequential(*sum(layers, ())))


class Ladder(Tower):
    """`levels` latent vectors: features are computed bottom-up, z top-down (Sønderby et al. 2016, figure 1b).

    The posterior of each level reads its features and the state above, its prior that state alone. They are
    concatenated (Maaløe et al. 2019), which suits any posterior, instead of weighted by precision, which requires
    Gaussians. The state is a function of all z above; the likelihood reads it with the lowest z. With levels=1 it is
    `Single`.

    Args:
        features: Shape of the network's output for a row.
        posterior: `posterior(context_shape, space)` builds the posterior of each level.
        prior: `prior(space)` builds the prior of the top level.
        latent: `latent(shape)` builds the space of each z.
        below: `below(space, context_shape)` builds the prior of every other level.
        dim: Dimensions of the lowest z.
        levels: Number of levels.
        ratio: Each z has this many times fewer dimensions than the one below it, but at least one.
        width: Number of features of each higher level, and of the state.
        stacked: True: the lowest z is a representation of x alone, with q(z | x) and p(x | z), and the other levels
            model it, as in M1+M2 (Kingma et al. 2014).
        condition: Number of features of the condition, 0 without one.

    Raises:
        Refusal: If `dim`, `levels`, `ratio` or `width` is below 1.

    References:
        Casper Kaae Sønderby et al. Ladder Variational Autoencoders. In NeurIPS 2016. https://arxiv.org/abs/1602.02282
        Lars Maaløe et al. BIVA: A Very Deep Hierarchy of Latent Variables for Generative Modeling. In NeurIPS 2019.
            https://arxiv.org/abs/1902.02102

    Example:
        >>> from vaekit.latents.ladder import Ladder
        >>> from vaekit.posteriors.gaussian import Gaussian as Posterior
        >>> from vaekit.priors.gaussian import Gaussian
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.spaces import Real
        >>> tower = Ladder((256,), Posterior, StandardNormal, Real, below=Gaussian, dim=32, levels=3)
        >>> [level.space.shape for level in tower.levels]
        [(8,), (16,), (32,)]
    """

    requires = frozenset({Capability.DENSITY})

    def __init__(
        self,
        features: tuple[int, ...],
        posterior: Callable[[tuple[int, ...], Any], nn.Module],
        prior: Callable[[Any], Prior],
        latent: Callable[[tuple[int, ...]], Any],
        below: Callable[..., Prior],
        dim: int,
        levels: int = 3,
        ratio: int = 2,
        width: int = 256,
        stacked: bool = False,
        condition: int = 0,
    ):
        super().__init__()
        at_least_one(dim=(dim, 32), levels=(levels, 3), ratio=(ratio, 2), width=(width, 256))
        self.sizes = [math.prod(features), *[width] * (levels - 1)]  # of the features of each level, lowest first
        ends = [0, *accumulate(self.sizes)]
        self.num_features = ends[-1]
        blocks = []
        for level, (start, end) in reversed([*enumerate(pairwise(ends))]):
            space = latent((max(1, dim // ratio**level),))
            top, lowest = level == levels - 1, level == 0
            state = condition if top else width
            prior_only = stacked and lowest and not top
            context = end - start if prior_only or not state else width
            q: Any = posterior((context,), space)  # the posterior of codes states how many there are
            blocks.append(
                LevelBlock(
                    q,
                    top_prior(prior, (condition,), condition)(q.space) if top else below(space, context_shape=(width,)),
                    slice(start, end),
                    mlp(end - start + state, context) if state and not prior_only else None,
                    None if lowest else mlp(space.size + state, width),
                    prior_only,
                )
            )
        self.levels = nn.ModuleList(blocks)
        self.out_shape = (dim if prior_only else dim + state,)

    @classmethod
    def arrows(cls, settings: Mapping[str, Any], posterior: Any, prior: Any) -> list[tuple[Any, Any]]:
        lower = [(posterior, settings["below"])] if settings.get("levels", 3) > 1 else []
        return [(posterior, prior), *lower]

    def encoder(self, network: Any) -> Any:
        if len(self.sizes) == 1:
            return network
        steps = [nn.Sequential(nn.Flatten(), mlp(a, b)) for a, b in pairwise(self.sizes)]
        return BottomUp(network, steps, self.num_features)
