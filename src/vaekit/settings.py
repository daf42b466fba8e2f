"""Checks of settings by the type hints of the constructors that they are passed to."""

import math
import re
from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

from vaekit.refusal import Refusal

PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}


def check_types(node: Any, key: str) -> None:
    """Check the settings below a node of the configuration.

    Args:
        node: The node, with `_target_`.
        key: Its path.

    Raises:
        Refusal: For the first value of a wrong type.
    """
    if not isinstance(node, Mapping):
        return
    # with ${..lr} as it is
    written: Any = OmegaConf.to_container(node) if isinstance(node, DictConfig) else node
    types = _types(node["_target_"]) if "_target_" in node else {}
    for name, value in node.items():
        if name in types:
            link = re.fullmatch(r"\$\{(\.+)([\w.]+)\}", str(written[name]))  # the user types it further up
            place = ".".join([*key.split(".")[: 1 - len(link[1]) or None], link[2]]) if link else f"{key}.{name}"
            check_type(place, value, types[name])
        check_types(value, f"{key}.{name}")


def check_type(key: str, value: Any, hint: Any) -> None:
    """Check the type of one value.

    Args:
        key: Path of the setting.
        value: A plain value.
        hint: Type hint.

    Raises:
        Refusal: If the value has another type.
    """
    if not fits(value, hint):
        raise Refusal(f"Got {key}={value}, expected {spell(hint)}. Leave it out for the default.")


def _types(target: str) -> dict[str, Any]:
    try:
        call = resolve_name(target)
        return get_type_hints(getattr(call, "__init__") if isinstance(call, type) else call)  # noqa: B009
    except Exception:  # constructors without type hints are not checked
        return {}


def spell(hint: Any) -> str:
    """A type hint in words.

    Args:
        hint: Type hint.

    Returns:
        E.g. `a whole number or null`; empty for a type that only the part itself can check.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        choices = dict.fromkeys(str(value) for arg in args if get_origin(arg) is Literal for value in get_args(arg))
        words = [f"one of {', '.join(choices)}"] if choices else []
        return " or ".join(words + [word for arg in args if get_origin(arg) is not Literal and (word := spell(arg))])
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin in (list, tuple, Sequence):
        return f"a list, each entry {spell(args[0])}" if spell(args[0]) else "a list"
    if origin is Mapping:
        return f"{{name:{spell(args[1]) or 'value'}}}"
    return PLAIN.get(hint, "")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value has a type.

    Args:
        value: A plain value.
        hint: Type hint. Any value has a type that `spell` has no words for.

    Example:
        >>> from vaekit.settings import fits
        >>> fits(3, int), fits("3", int), fits([1, 2], list[int]), fits(float("nan"), float)
        (True, False, True, False)
    """
    origin, args = get_origin(hint), get_args(hint)
    if not spell(hint) or (isinstance(value, Mapping) and "_target_" in value):  # a part checks itself
        return True
    if origin in (Union, UnionType):
        return any(fits(value, arg) for arg in args if spell(arg) or isinstance(value, Mapping))
    if origin is Literal:
        return value in args
    if origin in (list, tuple, Sequence):
        return isinstance(value, Sequence) and not isinstance(value, str) and all(fits(v, args[0]) for v in value)
    if origin is Mapping:
        return isinstance(value, Mapping)  # the part itself checks its values
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is hint
