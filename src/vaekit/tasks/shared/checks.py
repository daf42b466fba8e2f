"""Checks of the settings of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from vaekit.refusal import Refusal


def within(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Check that a setting is a whole number in a range.

    Args:
        name: The setting as it is typed.
        value: Its value.
        least: Smallest value allowed.
        most: Largest value allowed; None for no limit.

    Raises:
        Refusal: If it is not.

    Example:
        >>> from vaekit.tasks.shared.checks import within
        >>> within("task.n", 64, 1)
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):
        return
    expected = f"at least {least}" if most is None else f"from {least} to {most}"
    nearest = most if whole and most is not None and value > most else least
    raise Refusal(f"Got {name}={value}, expected a whole number {expected}; use {name}={nearest}.")


def positive(name: str, value: Any) -> None:
    """Check that a setting is a finite number above 0.

    Args:
        name: The setting as it is typed.
        value: Its value.

    Raises:
        Refusal: If it is not.
    """
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise Refusal(f"Got {name}={value}, expected a number above 0; use {name}=1.")


def one_of(name: str, value: Any, choices: Sequence[str]) -> None:
    """Check that a setting has one of its possible values.

    Args:
        name: The setting as it is typed.
        value: Its value.
        choices: The possible values.

    Raises:
        Refusal: If it has another value.
    """
    if value not in choices:
        expected = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise Refusal(f"Got {name}={value}, expected {expected}; use {name}={choices[0]}.")


def flag(name: str, value: Any) -> None:
    """Check that a setting is true or false.

    Args:
        name: The setting as it is typed.
        value: Its value.

    Raises:
        Refusal: If it is not.
    """
    if not isinstance(value, bool):
        raise Refusal(f"Got {name}={value}, expected true or false; use {name}=true.")


def needed(package: str, extra: str) -> Any:
    """Import an optional package.

    Args:
        package: Its name.
        extra: The extra of vaekit that installs it.

    Raises:
        Refusal: If it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise Refusal(f"This needs {name}, which cannot be imported ({error}); pip install '.[{extra}]'.") from error
