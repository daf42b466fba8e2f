"""Where the data sets of a benchmark lie."""

import os
import sys
from pathlib import Path


def root(words: list[str], wanted: str) -> Path:
    """DIR of the word root=DIR, or else $VAEKIT_DATA; without either it ends, saying that `wanted` should lie there."""
    said = (word.removeprefix("root=") for word in words if word.startswith("root="))
    found = next(said, os.environ.get("VAEKIT_DATA"))
    if found is None:
        sys.exit(f"Say where {wanted} lies: root=DIR, or VAEKIT_DATA=DIR.")
    return Path(found)
