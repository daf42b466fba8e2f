"""Numbers that a task is given."""

from __future__ import annotations

from typing import Any

from vaekit.refusal import Refusal


def within(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise `Refusal` unless `value` is a whole number from `least` to `most`, both included."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):
        return
    expected = f"at least {least}" if most is None else f"from {least} to {most}"
    nearest = most if whole and most is not None and value > most else least
    raise Refusal(f"Got {name}={value}, expected a whole number {expected}; use {name}={nearest}.")


def positive(name: str, value: Any) -> None:
    """Raise `Refusal` unless `value` is a finite number above 0."""
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise Refusal(f"Got {name}={value}, expected a number above 0; use {name}=1.")
