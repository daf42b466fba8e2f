"""The top-down pass through the latent levels."""

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
    """One level of a draw.

    Args:
        z: The latent of the level.
        q: The posterior that z was drawn from; None if it was not.
        p: The prior at that level.
    """

    z: Tensor
    q: Distribution | None
    p: Distribution


class Level(Protocol):
    """What a tower needs of a level. `state` is None above the top level of a model without a condition.

    space: the space of z_l. gives: the capabilities of its posterior.
    """

    space: Space
    gives: frozenset[Capability]

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        """q(z_l | x, z above)."""

    def generate(self, state: Tensor | None) -> Distribution:
        """p(z_l | z above)."""

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        """The state that the next level, or the likelihood, reads."""


class Tower(nn.Module):
    """Latent levels, top first, and the shape of the state that they pass on to the likelihood.

    Its constructor takes `features`, the shape of the network's output for a row; `posterior(context_shape, space)` and
    `prior(space)`, which build the two arrows; `latent(shape)`, which builds the space of z; and `condition`, the
    number of features of the condition above the top level, 0 without one. A subclass states `requires`, the
    capabilities that posterior and network need, `levels`, `out_shape` and `num_features`.
    """

    requires = frozenset[Capability]()
    infers = False  # whether a missing condition is inferred
    levels: Any  # an nn.ModuleList, each entry a Level
    out_shape: tuple[int, ...]
    num_features: int  # of all features, flat

    @classmethod
    def arrows(cls, settings: Mapping[str, Any], posterior: Any, prior: Any) -> list[tuple[Any, Any]]:
        """The posterior and the prior of each kind of level that these settings make, top first; neither is built."""
        return [(posterior, prior)]

    def encoder(self, network: Any) -> Any:
        """`network` followed by the bottom-up path, if higher levels have features of their own: x -> `[N, ...]`."""
        return network

    def initial_state(self, condition: Tensor | None) -> tuple[Sequence[Level], Tensor | None]:
        """The levels to descend and the state above them, from the features of a condition `[..., condition]`."""
        return self.levels, condition


def top_prior(prior: Any, context_shape: tuple[int, ...], condition: int) -> Any:
    """The prior of the top level: conditioned on the context if there is a condition and the prior can read one.

    Args:
        prior: `prior(space)` builds it.
        context_shape: Shape of the context.
        condition: Number of features of the condition, 0 without one.

    Returns:
        A function that builds the prior from its space.
    """
    kind: Any = prior.func if isinstance(prior, partial) else prior
    return partial(prior, context_shape=context_shape) if condition and kind.conditional else prior


class Draw(NamedTuple):
    """A draw of all latents.

    Args:
        steps: One for each level, top first.
        state: What the likelihood reads.
    """

    steps: list[Step]
    state: Tensor


def descend(
    levels: Iterable[Level], pick: Callable[[Level, Tensor | None, Distribution], Step], state: Tensor | None = None
) -> Draw:
    """Draw one z a level, from the top level down.

    Args:
        levels: Top first.
        pick: `pick(level, state, p)` chooses z, e.g. from the posterior or from the prior p.
        state: The state above the top level: that of a condition, or None.

    Returns:
        One `Step` a level, top first, and the state that the likelihood reads.
    """
    steps: list[Step] = []
    for level in levels:
        steps.append(pick(level, state, level.generate(state)))
        state = level.merge(state, steps[-1].z)
    assert state is not None, "a tower has at least one level"
    return Draw(steps, state)
