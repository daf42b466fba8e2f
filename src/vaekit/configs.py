"""Where the configuration tree lies, and what it offers."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import yaml

_PACKAGED = Path(__file__).parent / "conf"
CONF = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The package's own `conf` in an installed wheel, the repository's in a checkout."""


def options(group: str) -> dict[str, dict]:
    """The choices of a configuration group by name, as written, e.g. `options("likelihood")["bernoulli"]`."""
    return {path.stem: deepcopy(_parse(path.read_text())) for path in sorted((CONF / group).glob("*.yaml"))}


@cache
def _parse(text: str) -> dict:
    return yaml.safe_load(text) or {}
