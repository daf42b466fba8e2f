"""The one exception that a user is meant to read, and where the part that raises it is in the configuration."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from vaekit.overrides import spelled, typed


class Refusal(ValueError):
    """What was wrong, what was expected, and what to type instead, in one or two sentences.

    `train.py` and `apply.py` print it without a traceback and exit with code 1.
    """


_path: ContextVar[str] = ContextVar("path", default="")
_root: ContextVar[str] = ContextVar("root", default="")


@contextmanager
def located(path: str) -> Iterator[None]:
    """Within, the part whose configuration is at `path` is built."""
    before = _path.set(path)
    try:
        yield
    finally:
        _path.reset(before)


def setting(name: str) -> str:
    """A setting of the part that is being built, as it is typed: `latents.dim`, in Python `dim`."""
    return f"{_path.get()}.{name}".lstrip(".")


def choice(group: str, name: str) -> str:
    """Another choice for the part that is being built: `prior=gaussian`, or `prior@latents.below=gaussian`."""
    return f"{group}={name}" if _path.get() in (group, "") else f"{group}@{_path.get()}={name}"


@contextmanager
def within(path: str) -> Iterator[None]:
    """Within, the VAE is built whose groups are at `path` of the configuration, "" for the outermost."""
    before = _root.set(path)
    try:
        with located(""):
            yield
    finally:
        _root.reset(before)


def elsewhere(key: str) -> str:
    """A setting of another part of the same VAE, as it is typed: `latents.dim`, or `prior.second.latents.dim`."""
    return f"{_root.get()}.{key}".lstrip(".")


def at_least_one(**counts: tuple[int | Sequence[int], Any]) -> None:
    """Raise `Refusal`, for settings by name, a value (or a list of some) and a usual one each, unless all are at
    least 1.
    """
    for name, (value, usual) in counts.items():
        if min([value] if isinstance(value, int) else value, default=1) < 1:
            key = setting(name)
            raise Refusal(f"{key}={spelled(value)} must be at least 1; use {typed(key, usual)}.")


def below_one(**shares: tuple[float, float]) -> None:
    """Raise `Refusal`, for settings as in `at_least_one`, unless all are from 0 to below 1."""
    for name, (value, usual) in shares.items():
        if not 0 <= value < 1:
            raise Refusal(f"{setting(name)}={value} must be from 0 to below 1; use {setting(name)}={usual}.")


def one_of(**values: tuple[str, Sequence[str]]) -> None:
    """Raise `Refusal`, for settings by name, a value and those that there are, unless each is one of them."""
    for name, (value, there) in values.items():
        if value not in there:
            known = f"{', '.join(there[:-1])} or {there[-1]}"
            raise Refusal(f"{setting(name)}={value} is unknown; use {setting(name)}={known}.")


def refusal_in(error: BaseException | None) -> Refusal | None:
    """The refusal that an exception is, or wraps: Hydra wraps what a constructor raises."""
    while error is not None and not isinstance(error, Refusal):
        error = error.__cause__
    return error


@contextmanager
def building(group: str) -> Iterator[None]:
    """Within, the part at `group` is built; what goes wrong is a `Refusal`: its own, or one that names the group."""
    try:
        with located(group):
            yield
    except Exception as error:
        if own := refusal_in(error):
            raise own from None
        cause: BaseException = error
        while isinstance(cause.__cause__, Exception):
            cause = cause.__cause__
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise Refusal(
            f"{group} cannot be built: {reason.rstrip('.')}. Change {group}.* or leave it out; "
            f"`python train.py --cfg job --package {group}` shows its settings, debug=true where it happened."
        ) from error
