"""A tower of vectors, which features climb and draws descend."""

import math
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.latents.tower import Tower, given
from vaekit.networks.bottom_up import BottomUp
from vaekit.networks.glorot import glorot
from vaekit.posteriors.posterior import Posterior
from vaekit.priors.prior import Prior
from vaekit.refusal import at_least_one


class LevelBlock(nn.Module):
    """One level: a posterior of its own features beside the state above, and a prior of that state.

    own: which of the features these are; `posterior_mlp` is what both go through, `state_mlp` what z and the state do.
    Without them it is the only level. At the top, the state above is a condition, or None. alone: only the prior reads
    that state, and the likelihood sees z alone.
    """

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior,
        own: slice = slice(None),
        posterior_mlp: nn.Module | None = None,
        state_mlp: nn.Module | None = None,
        alone: bool = False,
    ):
        super().__init__()
        self.posterior, self.prior, self.own, self.alone = posterior, prior, own, alone
        self.posterior_mlp, self.state_mlp = posterior_mlp or nn.Identity(), state_mlp or nn.Identity()
        self.space, self.gives = posterior.space, posterior.gives

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        own = features.flatten(1)[:, self.own]
        return self.posterior(own if self.alone else self.posterior_mlp(beside(own, state)))

    def generate(self, state: Tensor | None) -> Distribution:
        return self.prior(state)

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        z = self.posterior.embed(z)
        return z if self.alone else self.state_mlp(beside(z, state))


def beside(x: Tensor, state: Tensor | None) -> Tensor:
    """x `[..., F]` and, behind it, the state `[..., S]`; of either there may be several for each of the other."""
    if state is None:
        return x
    lead = torch.broadcast_shapes(x.shape[:-1], state.shape[:-1])
    return torch.cat([x.expand(*lead, -1), state.expand(*lead, -1)], -1)


def block(into: int, out: int) -> nn.Sequential:
    """Two layers, normalised per example: `[..., into]` -> `[..., out]`."""
    layers = [(nn.Linear(a, out), nn.LayerNorm(out), nn.SiLU()) for a in (into, out)]
    return glorot(nn.Sequential(*sum(layers, ())))


class Ladder(Tower):
    """`levels` latent variables: features climb from the encoder's, z descends (Sønderby et al. 2016, figure 1b).

    The posterior of each level reads the features of its height beside the state above (concatenated, as Maaløe et al.
    2019 do, which any posterior can read, rather than weighted by precision, which asks for Gaussians), its prior that
    state alone. The state is a function of all z above, and the likelihood sees it beside the lowest z.

    dim: dimensions of the lowest z; one above has `ratio` times fewer, but one at least. width: of the features and of
    the state. below: the prior of every level but the top. stacked: the lowest z is a representation of x by itself,
    q(z | x) and p(x | z), and all other levels model it, as in M1+M2 (Kingma et al. 2014).
    features, posterior, prior, latent, condition: see `vaekit.latents.tower.Tower`. With levels=1 it is `Single`.

    References:
        Casper Kaae Sønderby et al. Ladder Variational Autoencoders. In NeurIPS 2016. https://arxiv.org/abs/1602.02282
        Lars Maaløe et al. BIVA: A Very Deep Hierarchy of Latent Variables for Generative Modeling. In NeurIPS 2019.
            https://arxiv.org/abs/1902.02102
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
        self.numbers = ends[-1]
        rungs = []
        for height, (start, end) in reversed([*enumerate(pairwise(ends))]):
            space = latent((max(1, dim // ratio**height),))
            top, lowest = height == levels - 1, height == 0
            state = condition if top else width
            alone = stacked and lowest and not top
            context = end - start if alone or not state else width
            q: Any = posterior((context,), space)  # which, of codes, knows what space they make up
            rungs.append(
                LevelBlock(
                    q,
                    given(prior, (condition,), condition)(q.space) if top else below(space, context_shape=(width,)),
                    slice(start, end),
                    block(end - start + state, context) if state and not alone else None,
                    None if lowest else block(space.size + state, width),
                    alone,
                )
            )
        self.levels = nn.ModuleList(rungs)
        self.out_shape = (dim if alone else dim + state,)

    @classmethod
    def arrows(cls, settings: Mapping[str, Any], posterior: Any, prior: Any) -> list[tuple[Any, Any]]:
        lower = [(posterior, settings["below"])] if settings.get("levels", 3) > 1 else []
        return [(posterior, prior), *lower]

    def encoder(self, network: Any) -> Any:
        if len(self.sizes) == 1:
            return network
        steps = [nn.Sequential(nn.Flatten(), block(a, b)) for a, b in pairwise(self.sizes)]
        return BottomUp(network, steps, self.numbers)
