"""Where the configuration tree lies, and what it offers."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml

_PACKAGED = Path(__file__).parent / "conf"
CONF = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The package's own `conf` in an installed wheel, the repository's in a checkout."""


def options(group: str) -> dict[str, dict]:
    """The choices of a configuration group by name, as written, e.g. `options("likelihood")["bernoulli"]`."""
    return {path.stem: deepcopy(_parse(path.read_text())) for path in sorted((CONF / group).glob("*.yaml"))}


def choices(group: str, fits: Callable[[Any], bool]) -> str:
    """The overrides of a group whose part `fits`, e.g. "likelihood=bernoulli or likelihood=categorical"."""
    targets = {key: resolve_name(option["_target_"]) for key, option in options(group).items() if "_target_" in option}
    return " or ".join(f"{group}={key}" for key, part in targets.items() if fits(part))


@cache
def _parse(text: str) -> dict:
    return yaml.safe_load(text) or {}
