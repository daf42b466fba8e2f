"""The one top-down walk through the latent levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.spaces import Space


@dataclass(frozen=True)
class Step:
    """One level of a draw: z, the posterior it was drawn from (None if it was not), and the prior at that level."""

    z: Tensor
    q: Distribution | None
    p: Distribution


class Level(Protocol):
    """What the walk asks of a level. `state` is None above the top level, where there is no condition.

    space: where z_l lives. gives: what its posterior declares.
    """

    space: Space
    gives: frozenset[Capability]

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        """q(z_l | x, z above)"""

    def generate(self, state: Tensor | None) -> Distribution:
        """p(z_l | z above)"""

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        """The state that the next level, or the likelihood, reads."""


class Tower(nn.Module):
    """Levels, top first, and the shape of the state that they leave to the likelihood.

    It is built of features, the shape of what the network makes of x; posterior(context_shape, space) and prior(space),
    which build the two arrows; latent(shape), the kind of space they are over; and condition, how many numbers the
    vector has that stands above the top, 0 without. requires: what the posterior has to give, if there are several
    levels, and the network: `maps`.
    """

    requires = frozenset[Capability]()
    infers = False  # whether a condition may be missing, and is inferred
    levels: Any  # an nn.ModuleList, each entry a Level
    out_shape: tuple[int, ...]
    numbers: int  # of all features, flat

    @classmethod
    def arrows(cls, settings: Mapping[str, Any], posterior: Any, prior: Any) -> list[tuple[Any, Any]]:
        """The posterior and the prior of each kind of level that these settings make, top first; neither is built."""
        return [(posterior, prior)]

    def encoder(self, network: Any) -> Any:
        """`network`, and what makes features of its features, for levels that stand higher: `[N, ...]`."""
        return network

    def initial_state(self, condition: Tensor | None) -> tuple[Sequence[Level], Tensor | None]:
        """The levels to walk down, and the state above them, of a condition's vectors `[..., condition]`."""
        return self.levels, condition


def given(prior: Any, context_shape: tuple[int, ...], condition: int) -> Any:
    """The top's prior(space): of a context where there is a condition and it can read one, else p(z) as without."""
    kind: Any = prior.func if isinstance(prior, partial) else prior
    return partial(prior, context_shape=context_shape) if condition and kind.conditional else prior


class Draw(NamedTuple):
    """A step per level, top first, and the state that the likelihood reads."""

    steps: list[Step]
    state: Tensor


def descend(
    levels: Iterable[Level], pick: Callable[[Level, Tensor | None, Distribution], Step], state: Tensor | None = None
) -> Draw:
    """Walk from the top level down; `pick(level, state, p)` says who chooses z: posterior, prior or caller.

    state: what stands above the top, a condition.
    """
    steps: list[Step] = []
    for level in levels:
        steps.append(pick(level, state, level.generate(state)))
        state = level.merge(state, steps[-1].z)
    assert state is not None, "a tower has at least one level"
    return Draw(steps, state)
