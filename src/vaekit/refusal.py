"""The exception that is written for users, and the path in the configuration of the part that raises it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from vaekit.overrides import in_python, spelled, typed


class Refusal(ValueError):
    """What was wrong, what was expected, and what to type instead, in one or two sentences.

    `train.py` and `apply.py` print it without a traceback and exit with code 1.
    """


_path: ContextVar[str] = ContextVar("path", default="")
_root: ContextVar[str] = ContextVar("root", default="")


@contextmanager
def located(path: str) -> Iterator[None]:
    """A context in which the part at a path of the configuration is built.

    Args:
        path: E.g. `prior` or `latents.below`.
    """
    before = _path.set(path)
    try:
        yield
    finally:
        _path.reset(before)


def setting(name: str) -> str:
    """A setting of the part that is being built, as it is typed.

    Args:
        name: Name of the constructor argument.

    Returns:
        E.g. `latents.dim`; in Python `dim`.
    """
    return f"{_path.get()}.{name}".lstrip(".")


def choice(group: str, name: str) -> str:
    """Another choice for the part that is being built, as it is typed.

    Args:
        group: Name of the group.
        name: Name of the choice.

    Returns:
        E.g. `prior=gaussian`, or `prior@latents.below=gaussian`.
    """
    return f"{group}={name}" if _path.get() in (group, "") else f"{group}@{_path.get()}={name}"


@contextmanager
def within(path: str) -> Iterator[None]:
    """A context in which the VAE at a path of the configuration is built.

    Args:
        path: E.g. `prior.second`; empty for the outermost VAE.
    """
    before = _root.set(path)
    try:
        with located(""):
            yield
    finally:
        _root.reset(before)


def elsewhere(key: str) -> str:
    """A setting of another part of the same VAE, as it is typed.

    Args:
        key: Dotted name within that VAE.

    Returns:
        E.g. `latents.dim`, or `prior.second.latents.dim`.
    """
    return f"{_root.get()}.{key}".lstrip(".")


def at_least_one(**counts: tuple[int | Sequence[int], Any]) -> None:
    """Check that settings are at least 1.

    Args:
        counts: By the name of a setting, its value (or a list of values) and a usual one.

    Raises:
        Refusal: For the first one that is lower.

    Example:
        >>> from vaekit.refusal import at_least_one
        >>> at_least_one(components=(50, 500), hidden=([16, 8], [512]))
    """
    for name, (value, usual) in counts.items():
        if min([value] if isinstance(value, int) else value, default=1) < 1:
            key = setting(name)
            raise Refusal(f"{key}={spelled(value)} must be at least 1; use {typed(key, usual)}.")


def below_one(**fractions: tuple[float, float]) -> None:
    """Check that settings are at least 0 and below 1.

    Args:
        fractions: By the name of a setting, its value and a usual one.

    Raises:
        Refusal: For the first one out of this range.
    """
    for name, (value, usual) in fractions.items():
        if not 0 <= value < 1:
            raise Refusal(f"{setting(name)}={value} must be from 0 to below 1; use {setting(name)}={usual}.")


def one_of(**values: tuple[str, Sequence[str]]) -> None:
    """Check that settings have one of their possible values.

    Args:
        values: By the name of a setting, its value and the possible ones.

    Raises:
        Refusal: For the first one with another value.
    """
    for name, (value, known) in values.items():
        if value not in known:
            expected = f"{', '.join(known[:-1])} or {known[-1]}"
            raise Refusal(f"{setting(name)}={value} is unknown; use {setting(name)}={expected}.")


def causes(error: BaseException | None, contexts: bool = False) -> Iterator[BaseException]:
    """An exception and those that caused it, each once: in a debugger OmegaConf makes some their own cause.

    Args:
        error: An exception.
        contexts: Whether to go on to what was being handled where no cause is named.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or (error.__context__ if contexts else None)


def refusal_in(error: BaseException | None) -> Refusal | None:
    """The refusal that an exception is, or wraps: Hydra wraps what a constructor raises.

    Args:
        error: An exception.

    Returns:
        None if there is none.
    """
    return next((each for each in causes(error) if isinstance(each, Refusal)), None)


def reason(error: BaseException) -> str:
    """What an exception of another library says, in one line of at most 300 characters; without words, its class.

    Args:
        error: An exception.

    Example:
        >>> reason(ValueError("two\\nlines")), reason(MemoryError())
        ('two lines', 'MemoryError')
    """
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def refusals_in_python() -> Iterator[None]:
    """A context in which refusals say what to type in Python, see `in_python`.

    Raises:
        Refusal: The same one.
    """
    try:
        yield
    except Refusal as refusal:
        refusal.args = (in_python(str(refusal)),)
        raise


@contextmanager
def building(group: str) -> Iterator[None]:
    """A context in which a part is built, and every exception becomes a `Refusal`.

    Args:
        group: Path of the part.

    Raises:
        Refusal: That of the part, or one that names the path and the exception.
    """
    try:
        with located(group):
            yield
    except Exception as error:
        if own := refusal_in(error):
            raise own from None
        *_, cause = causes(error)
        first = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise Refusal(
            f"{group} cannot be built: {first.rstrip('.')}. Change {group}.* or leave it out; "
            f"`python train.py --cfg job --package {group}` shows its settings, traceback=true the traceback."
        ) from error
