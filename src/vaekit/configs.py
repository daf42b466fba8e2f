"""The folder of the configuration tree, and the choices in it."""

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


def options(group: str) -> dict[str, dict[str, Any]]:
    """The contents of the configuration files of a group.

    Args:
        group: Name of the group, e.g. `likelihood`.

    Returns:
        Contents by the name of the choice.

    Example:
        >>> from vaekit.configs import options
        >>> options("likelihood")["bernoulli"]
        {'_target_': 'vaekit.likelihoods.bernoulli.Bernoulli'}
    """
    return {path.stem: deepcopy(_parse(path.read_text())) for path in sorted((CONF / group).glob("*.yaml"))}


def choices(group: str, fits: Callable[[Any], bool]) -> str:
    """The overrides that choose a part of a group with some property.

    Args:
        group: Name of the group.
        fits: Whether a class has the property.

    Returns:
        E.g. `likelihood=bernoulli or likelihood=categorical`; empty if there is none.

    Example:
        >>> from vaekit.configs import choices
        >>> choices("prior", lambda part: not part.learned and part.latent.__name__ == "Sphere")
        'prior=sphere_uniform'
    """
    targets = {key: resolve_name(option["_target_"]) for key, option in options(group).items() if "_target_" in option}
    return " or ".join(f"{group}={key}" for key, part in targets.items() if fits(part))


@cache
def _parse(text: str) -> dict[str, Any]:
    return yaml.safe_load(text) or {}
