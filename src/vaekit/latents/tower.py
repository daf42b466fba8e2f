"""The one top-down walk through the latent levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.spaces import Real


@dataclass(frozen=True)
class Step:
    """One level of a draw: z, the posterior it was drawn from (None if it was not), and the prior at that level."""

    z: Tensor
    q: Distribution | None
    p: Distribution


class Level(Protocol):
    """What the walk asks of a level. `state` is None above the top level.

    space: where z_l lives. gives: what its posterior declares.
    """

    space: Real
    gives: frozenset[str]

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        """q(z_l | x, z above)"""

    def generate(self, state: Tensor | None) -> Distribution:
        """p(z_l | z above)"""

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        """The state that the next level, or the likelihood, reads."""


class Tower(nn.Module):
    """Levels, top first, and the shape of the state that they leave to the likelihood.

    It is built of features, the shape of what the network makes of x; posterior(context_shape, space) and prior(space),
    which build the two arrows; and latent(shape), the kind of space they are over. asks: what the posterior has to
    give, if there are several levels, and the network: `maps`.
    """

    asks = frozenset[str]()
    levels: Any  # an nn.ModuleList, each entry a Level
    out_shape: tuple[int, ...]

    def encoder(self, network: Any) -> Any:
        """`network`, and what makes features of its features, for levels that stand higher: `[N, ...]`."""
        return network


class Draw(NamedTuple):
    """A step per level, top first, and the state that the likelihood reads."""

    steps: list[Step]
    state: Tensor


def descend(levels: Iterable[Level], pick: Callable[[Level, Tensor | None, Distribution], Step]) -> Draw:
    """Walk from the top level down; `pick(level, state, p)` says who chooses z: posterior, prior or caller."""
    steps: list[Step] = []
    state: Tensor | None = None
    for level in levels:
        steps.append(pick(level, state, level.generate(state)))
        state = level.merge(state, steps[-1].z)
    assert state is not None, "a tower has at least one level"
    return Draw(steps, state)
