"""A coefficient over the course of training."""

from __future__ import annotations

from inspect import signature
from typing import Any, Protocol

from vaekit.refusal import Refusal


class Schedule(Protocol):
    """A coefficient as a function of the time since the start of training.

    It is called with the time in epochs, fractions included, or with None for its final value.

    Example:
        >>> from vaekit.schedules.linear import Linear
        >>> Linear(1.0, epochs=10)(None)
        1.0
    """

    def __call__(self, epoch: float | None) -> float: ...


def at(coefficient: float | Schedule, epoch: float | None) -> float:
    """The value of a coefficient at a time.

    Args:
        coefficient: A number, which is the same at all times, or a schedule.
        epoch: Time since the start of training in epochs; None for the final value, which validation and test use.

    Example:
        >>> from vaekit.schedules.linear import Linear
        >>> from vaekit.schedules.schedule import at
        >>> at(0.5, 3), at(Linear(1.0, epochs=10), 3)
        (0.5, 0.3)
    """
    return coefficient(epoch) if callable(coefficient) else float(coefficient)


def scheduled(part: Any, epoch: float | None) -> dict[str, float]:
    """The values of a part's settings that follow a schedule, by the name of the setting.

    Args:
        part: An objective, penalty or posterior, which keeps constructor arguments of type `float | Schedule` under
            their names.
        epoch: Time since the start in epochs; None for the final values.
    """
    names = [name for name, each in signature(type(part)).parameters.items() if "Schedule" in str(each.annotation)]
    return {name: at(value, epoch) for name in names if callable(value := getattr(part, name, None))}


def refuse_below(bound: float, **coefficients: float | Schedule) -> None:
    """Check the final values of coefficients.

    Args:
        bound: The least value that is allowed.
        **coefficients: The coefficients by the setting that each comes from, with `__` in place of a dot.

    Raises:
        Refusal: If a final value is below `bound`.
    """
    for name, coefficient in coefficients.items():
        if (value := at(coefficient, None)) < bound:
            raise Refusal(f"{name.replace('__', '.')}={value:g} must be at least {bound:g}.")
