"""A tall tower of maps, from a few coarse ones to many fine ones."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.latents.tower import Tower, given
from vaekit.networks.bottom_up import BottomUp
from vaekit.networks.glorot import Pointwise, glorot, scaled
from vaekit.networks.pyramid import Bottleneck, stack
from vaekit.networks.upsample import upsample
from vaekit.refusal import Refusal, at_least_one, setting


class MapLevelBlock(nn.Module):
    """One level over maps z `[..., c, h, w]`, whose state `[..., C, h, w]` is refined by residual blocks.

    own: which of the features are its own, `shape` (C, h, w) of them. top: nothing stands above. scale: by which its
    two contributions to the state are multiplied at the start. grown: the size of the map that the next level reads,
    if it is another one.
    """

    def __init__(
        self,
        posterior: Any,
        prior: nn.Module,
        own: slice,
        shape: tuple[int, int, int],
        top: bool,
        scale: float,
        grown: tuple[int, int] | None,
    ):
        super().__init__()
        channels, size = shape[0], shape[1:]
        self.posterior, self.prior, self.own, self.shape = posterior, prior, own, shape
        self.space, self.gives = posterior.space, posterior.gives
        self.posterior_proj = None if top else glorot(Pointwise(2 * channels, channels))
        self.posterior_block = Bottleneck(channels, size)
        self.prior_block = None if top else Bottleneck(channels, size)
        self.z_proj = scaled(glorot(Pointwise(posterior.space.shape[0], channels)), scale)
        self.state_block = Bottleneck(channels, size, scale)
        self.position_embedding = (
            nn.Parameter(torch.zeros(channels, *grown)) if grown else None
        )  # else all start out alike

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        own = features[:, self.own].unflatten(1, self.shape)
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
    """Many latent maps (Child 2021, without what its prior adds to the state; as in NVAE, Vahdat and Kautz 2020).

    blocks: how many maps there are of each height, in any order, e.g. "14x4,7x4,1x2"; the width is in the image's
    proportion, and features climb as many residual blocks. None: four of half the image's height, four of a quarter,
    two of 1. dim: channels of each z. below: the prior of every level but the top. A residual branch starts the
    smaller the more levels there are.
    features, posterior, prior, latent, condition: see `vaekit.latents.tower.Tower`; the features are one map.

    References:
        Rewon Child. Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images. In ICLR 2021.
            https://arxiv.org/abs/2011.10650
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
        counts = parse(blocks or f"{height // 2}x4,{height // 4}x4,1x2", height)
        self.sizes = {(h, max(1, round(h * width / height))): counts[h] for h in sorted(counts)}  # coarse to fine
        self.numbers = self.channels * sum(h * w for h, w in self.sizes)
        ends, end = {}, self.numbers
        for size in self.sizes:  # features lie the other way round: they climb
            ends[size], end = end, end - self.channels * size[0] * size[1]
        heights = [size for size, count in self.sizes.items() for _ in range(count)]
        levels: list[nn.Module] = []
        for size, next_size in zip(heights, [*heights[1:], None], strict=True):
            space, shape, first = latent((dim, *size)), (self.channels, *size), not levels
            q = posterior(shape, space)
            p = given(prior, shape, condition)(space) if first else below(space, context_shape=shape)
            own = slice(ends[size] - self.channels * size[0] * size[1], ends[size])
            grown = next_size if next_size != size else None
            levels.append(MapLevelBlock(q, p, own, shape, first and not condition, len(heights) ** -0.5, grown))
        self.levels = nn.ModuleList(levels)
        self.out_shape = (self.channels, *heights[-1])
        top = (self.channels, *heights[0])
        self.condition_proj = (
            nn.Sequential(glorot(nn.Linear(condition, math.prod(top))), nn.Unflatten(-1, top)) if condition else None
        )

    @classmethod
    def arrows(cls, settings: Mapping[str, Any], posterior: Any, prior: Any) -> list[tuple[Any, Any]]:
        blocks = settings.get("blocks")
        alone = blocks is not None and sum(int(match[2]) for match in _matches(blocks) if match) == 1
        return [(posterior, prior)] if alone else [(posterior, prior), (posterior, settings["below"])]

    def initial_state(self, condition: Tensor | None) -> tuple[Sequence[Any], Tensor | None]:
        return self.levels, None if self.condition_proj is None else self.condition_proj(condition)

    def encoder(self, network: Any) -> Any:
        finest, *steps = [
            nn.Sequential(nn.AdaptiveAvgPool2d(size), *stack(self.channels, count, size))
            for size, count in reversed(self.sizes.items())
        ]
        return BottomUp(nn.Sequential(network, finest), steps, self.numbers)


def parse(blocks: str | Sequence[str], height: int) -> dict[int, int]:
    """Height of the map -> how many there are of it. Raises `Refusal` for what is not written so, or does not fit."""
    matches = _matches(blocks)
    found = {int(match[1]): int(match[2]) for match in matches if match}
    if len(found) < len(matches) or max(found, default=0) > height:
        raise Refusal(
            f"{setting('blocks')}={blocks} must give the number of maps of each height up to {height}; "
            f"use {setting('blocks')}=[{height // 2}x4,{height // 4}x4,1x2]."
        )
    return found


def _matches(blocks: str | Sequence[str]) -> list[re.Match[str] | None]:
    """Of each entry its height and number, None where it is not written so."""
    each = blocks.split(",") if isinstance(blocks, str) else blocks
    return [re.fullmatch(r" *([1-9]\d*)x([1-9]\d*) *", str(one)) for one in each]
