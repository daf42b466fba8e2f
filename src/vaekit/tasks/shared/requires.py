"""What a task requires of a model and its data."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from vaekit.capabilities import Capability
from vaekit.plan.compatibility import lacks
from vaekit.refusal import Refusal
from vaekit.tasks.shared.context import Context

P = ParamSpec("P")
R = TypeVar("R")
Task = Callable[Concatenate[Context, P], R]


def requires(*capabilities: Capability, instead: str = "") -> Callable[[Task[P, R]], Task[P, R]]:
    """Declare what a task requires: a run without it is refused, and `dir(run)` leaves the task out.

    Args:
        capabilities: All of them.
        instead: What can be done with a run that lacks them, other than to train another model.

    Example:
        >>> from vaekit.capabilities import Capability
        >>> from vaekit.tasks.shared.requires import requires
        >>> @requires(Capability.RETURNS)
        ... def drawdown(context, n=100): ...
        >>> sorted(drawdown.requires)
        [<Capability.RETURNS: 'returns'>]
    """

    def declare(task: Task[P, R]) -> Task[P, R]:
        @wraps(task)
        def checked(context: Context, /, *args: P.args, **settings: P.kwargs) -> R:
            missing, overrides = lacks(context.plan, checked)
            if missing:
                sentences = " and ".join(each.sentence for each in missing)
                other = f", or {instead}" if instead else ""
                raise Refusal(
                    f"task={task.__name__} requires {sentences}, which this run does not have. "
                    f"Train with {overrides}{other}."
                )
            return task(context, *args, **settings)

        declared: Any = checked
        declared.requires = frozenset(capabilities)
        return checked

    return declare
