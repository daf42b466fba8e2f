"""Checks user-defined parts against the declarations of their base class."""

from __future__ import annotations

from typing import Any, ClassVar, get_origin, get_type_hints

from vaekit.refusal import Refusal


def check_class(kind: Any, base: type, path: str) -> None:
    """Check a class against its base class.

    Args:
        kind: Class that the configuration names.
        base: Base class of its group, e.g. `Prior`.
        path: Where the configuration names it, e.g. `prior`.

    Raises:
        Refusal: If `kind` is not derived from `base`, or lacks a class attribute that `base` declares.
    """
    name = f"{kind.__module__}.{kind.__qualname__}"
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise Refusal(
            f"{path}: {name} is not a {base.__module__}.{base.__name__}. Write `class {kind.__name__}"
            f"({base.__name__}):` and import {base.__name__} from {base.__module__}."
        )
    _check(kind, base, name, path, of_class=True)


def check_instance(part: Any, base: type, path: str) -> None:
    """Check a built part against its base class.

    Args:
        part: The part.
        base: Base class of its group.
        path: Where the configuration names it.

    Raises:
        Refusal: If the part lacks an attribute that `base` declares.
    """
    _check(part, base, f"{type(part).__module__}.{type(part).__qualname__}", path, of_class=False)


def _check(part: Any, base: type, name: str, path: str, of_class: bool) -> None:
    for attribute, hint in get_type_hints(base).items():
        if (
            attribute in base.__annotations__
            and (get_origin(hint) is ClassVar) == of_class
            and not hasattr(part, attribute)
        ):
            line, where = (f"{attribute} = ...", "the class") if of_class else (f"self.{attribute} = ...", "__init__")
            raise Refusal(
                f"{path}: {name} lacks {attribute}, which {base.__module__}.{base.__name__} declares as "
                f"`{attribute}: {base.__annotations__[attribute]}`. Write `{line}` in {where}."
            )
