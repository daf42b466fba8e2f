"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager


class Refusal(ValueError):
    """What was wrong, what was expected, and what to type instead, in one or two sentences.

    `train.py` and `apply.py` print it without a traceback and exit with code 1.
    """


def at_least_one(group: str, **counts: tuple[int, int]) -> None:
    """Raise `Refusal`, for settings of a group by name, a value and a usual one each, unless all are at least 1."""
    for name, (value, usual) in counts.items():
        if value < 1:
            raise Refusal(f"{group}.{name}={value} must be at least 1; use {group}.{name}={usual}.")


def below_one(group: str, **shares: tuple[float, float]) -> None:
    """Raise `Refusal`, for settings of a group as in `at_least_one`, unless all are from 0 to below 1."""
    for name, (value, usual) in shares.items():
        if not 0 <= value < 1:
            raise Refusal(f"{group}.{name}={value} must be from 0 to below 1; use {group}.{name}={usual}.")


@contextmanager
def building(group: str) -> Iterator[None]:
    """Within, what goes wrong is a `Refusal`: a part's own, or one that names the configuration group."""
    try:
        yield
    except Exception as error:
        causes = [error]  # Hydra wraps what a constructor raises
        while (cause := causes[-1].__cause__) is not None and isinstance(cause, Exception):
            causes.append(cause)
        if own := next((each for each in causes if isinstance(each, Refusal)), None):
            raise own from None
        reason = (str(causes[-1]).strip().splitlines() or [type(causes[-1]).__name__])[0]
        raise Refusal(
            f"{group} cannot be built: {reason.rstrip('.')}. Change {group}.* or leave it out; "
            f"`python train.py --cfg job --package {group}` shows its settings, debug=true where it happened."
        ) from error
