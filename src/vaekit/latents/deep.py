"""A deep hierarchy of latent maps, from a few coarse ones to many fine ones."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.latents.tower import Tower, top_prior
from vaekit.networks.bottom_up import BottomUp
from vaekit.networks.glorot import Pointwise, glorot, scaled
from vaekit.networks.pyramid import Bottleneck, stack
from vaekit.networks.upsample import upsample
from vaekit.refusal import Refusal, at_least_one, setting


class MapLevelBlock(nn.Module):
    """One level over maps z `[..., c, h, w]`, with a residual state `[..., C, h, w]`.

    Args:
        posterior: Over the level's z.
        prior: Over the same space.
        feature_slice: Which of all features are those of this level.
        shape: Of these features and of the state, (C, h, w).
        top: True if there is no state above.
        scale: Factor, at initialization, on the two contributions to the state.
        next_size: Height and width of the next level's map, if they differ; None otherwise.
    """

    def __init__(
        self,
        posterior: Any,
        prior: nn.Module,
        feature_slice: slice,
        shape: tuple[int, int, int],
        top: bool,
        scale: float,
        next_size: tuple[int, int] | None,
    ):
        super().__init__()
        channels, size = shape[0], shape[1:]
        self.posterior, self.prior, self.feature_slice, self.shape = posterior, prior, feature_slice, shape
        self.space, self.gives = posterior.space, posterior.gives
        self.posterior_proj = None if top else glorot(Pointwise(2 * channels, channels))
        self.posterior_block = Bottleneck(channels, size)
        self.prior_block = None if top else Bottleneck(channels, size)
        self.z_proj = scaled(glorot(Pointwise(posterior.space.shape[0], channels)), scale)
        self.state_block = Bottleneck(channels, size, scale)
        # without it all positions of an upsampled map would start alike
        self.position_embedding = nn.Parameter(torch.zeros(channels, *next_size)) if next_size else None

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        own = features[:, self.feature_slice].unflatten(1, self.shape)
        if self.posterior_proj is not None and state is not None:
            own = self.posterior_proj(torch.cat([own.expand(*state.shape[:-3], *self.shape), state], -3))
        return self.posterior(self.posterior_block(own))

    def generate(self, state: Tensor | None) -> Distribution:
        return self.prior(state if self.prior_block is None or state is None else self.prior_block(state))

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        state = self.state_block(self.z_proj(z) if state is None else state + self.z_proj(z))
        if self.position_embedding is None:
            return state
        large = upsample(state.flatten(0, -4), self.position_embedding.shape[1:])
        return large.unflatten(0, state.shape[:-3]) + self.position_embedding


class Deep(Tower):
    """Many latent maps of several sizes (Child 2021, without what its prior adds to the state; as in NVAE).

    Coarse maps come first. Each level has a bottom-up residual block. The residual branches start smaller the more
    levels there are.

    Args:
        features: Shape of the network's map, (C, H, W).
        posterior: `posterior(context_shape, space)` builds the posterior of each level.
        prior: `prior(space)` builds the prior of the top level.
        latent: `latent(shape)` builds the space of each z.
        below: `below(space, context_shape)` builds the prior of every other level.
        dim: Channels of each z.
        blocks: Number of maps of each height, in any order, e.g. "14x4,7x4,1x2"; widths keep the image's proportions.
            None: four maps of half the image's height, four of a quarter, two of 1.
        condition: Number of features of the condition, 0 without one.

    Raises:
        Refusal: If `dim` is below 1, or `blocks` cannot be read or has a map higher than the image.

    References:
        Rewon Child. Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images. In ICLR 2021.
            https://arxiv.org/abs/2011.10650

    Example:
        >>> from vaekit.latents.deep import Deep
        >>> from vaekit.posteriors.gaussian import Gaussian as Posterior
        >>> from vaekit.priors.gaussian import Gaussian
        >>> from vaekit.spaces import Real
        >>> tower = Deep((8, 16, 16), Posterior, Gaussian, Real, below=Gaussian, dim=4, blocks="8x2,1x1")
        >>> [level.space.shape for level in tower.levels]
        [(4, 1, 1), (4, 8, 8), (4, 8, 8)]
    """

    requires = frozenset({Capability.DENSITY, Capability.MAPS})

    def __init__(
        self,
        features: tuple[int, ...],
        posterior: Callable[[tuple[int, ...], Any], nn.Module],
        prior: Callable[[Any], nn.Module],
        latent: Callable[[tuple[int, ...]], Any],
        below: Callable[..., nn.Module],
        dim: int = 16,
        blocks: str | Sequence[str] | None = None,
        condition: int = 0,
    ):
        super().__init__()
        at_least_one(dim=(dim, 16))
        self.channels, height, width = features
        counts = parse_blocks(blocks or f"{height // 2}x4,{height // 4}x4,1x2", height)
        self.sizes = {(h, max(1, round(h * width / height))): counts[h] for h in sorted(counts)}  # coarse to fine
        self.num_features = self.channels * sum(h * w for h, w in self.sizes)
        ends, end = {}, self.num_features
        for size in self.sizes:  # features are in bottom-up order, fine to coarse
            ends[size], end = end, end - self.channels * size[0] * size[1]
        heights = [size for size, count in self.sizes.items() for _ in range(count)]
        levels: list[nn.Module] = []
        for size, size_below in zip(heights, [*heights[1:], None], strict=True):
            space, shape, first = latent((dim, *size)), (self.channels, *size), not levels
            q = posterior(shape, space)
            p = top_prior(prior, shape, condition)(space) if first else below(space, context_shape=shape)
            own = slice(ends[size] - self.channels * size[0] * size[1], ends[size])
            next_size = size_below if size_below != size else None
            levels.append(MapLevelBlock(q, p, own, shape, first and not condition, len(heights) ** -0.5, next_size))
        self.levels = nn.ModuleList(levels)
        self.out_shape = (self.channels, *heights[-1])
        top = (self.channels, *heights[0])
        self.condition_proj = (
            nn.Sequential(glorot(nn.Linear(condition, math.prod(top))), nn.Unflatten(-1, top)) if condition else None
        )

    @classmethod
    def arrows(cls, settings: Mapping[str, Any], posterior: Any, prior: Any) -> list[tuple[Any, Any]]:
        blocks = settings.get("blocks")
        single = blocks is not None and sum(int(match[2]) for match in _matches(blocks) if match) == 1
        return [(posterior, prior)] if single else [(posterior, prior), (posterior, settings["below"])]

    def initial_state(self, condition: Tensor | None) -> tuple[Sequence[Any], Tensor | None]:
        return self.levels, None if self.condition_proj is None else self.condition_proj(condition)

    def encoder(self, network: Any) -> Any:
        finest, *steps = [
            nn.Sequential(nn.AdaptiveAvgPool2d(size), *stack(self.channels, count, size))
            for size, count in reversed(self.sizes.items())
        ]
        return BottomUp(nn.Sequential(network, finest), steps, self.num_features)


def parse_blocks(blocks: str | Sequence[str], height: int) -> dict[int, int]:
    """The number of maps of each height.

    Args:
        blocks: "14x4,7x4,1x2" or its entries, each a height and a number.
        height: Height of the image.

    Raises:
        Refusal: If an entry cannot be read, or is higher than the image.

    Example:
        >>> from vaekit.latents.deep import parse_blocks
        >>> parse_blocks("14x4,7x4,1x2", 28)
        {14: 4, 7: 4, 1: 2}
    """
    matches = _matches(blocks)
    found = {int(match[1]): int(match[2]) for match in matches if match}
    if len(found) < len(matches) or max(found, default=0) > height:
        raise Refusal(
            f"{setting('blocks')}={blocks} must give the number of maps of each height up to {height}; "
            f"use {setting('blocks')}=[{height // 2}x4,{height // 4}x4,1x2]."
        )
    return found


def _matches(blocks: str | Sequence[str]) -> list[re.Match[str] | None]:
    """The height and the number of each entry; None where it cannot be read."""
    each = blocks.split(",") if isinstance(blocks, str) else blocks
    return [re.fullmatch(r" *([1-9]\d*)x([1-9]\d*) *", str(one)) for one in each]
