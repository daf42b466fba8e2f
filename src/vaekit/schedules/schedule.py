"""A coefficient over the course of training."""

from __future__ import annotations

from typing import Protocol

from vaekit.refusal import Refusal


class Schedule(Protocol):
    """epoch: time since the start in epochs, fractions included; None stands for the end of time."""

    def __call__(self, epoch: float | None) -> float: ...


def at(coefficient: float | Schedule, epoch: float | None) -> float:
    """The coefficient's value: a number is its own schedule. Validation and test ask at None."""
    return coefficient(epoch) if callable(coefficient) else float(coefficient)


def refuse_below(bound: float, **coefficients: float | Schedule) -> None:
    """Raise `Refusal` for the first coefficient whose final value lies below `bound`."""
    for name, coefficient in coefficients.items():
        if (value := at(coefficient, None)) < bound:
            raise Refusal(f"{name.replace('__', '.')}={value:g} must be at least {bound:g}.")
