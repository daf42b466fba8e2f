"""The folder of the data sets of a benchmark."""

import os
import sys
from pathlib import Path


def root(words: list[str], wanted: str) -> Path:
    """DIR of the word root=DIR, else $VAEKIT_DATA. Exits with a message that names `wanted` if neither is given."""
    given = (word.removeprefix("root=") for word in words if word.startswith("root="))
    found = next(given, os.environ.get("VAEKIT_DATA"))
    if found is None:
        sys.exit(f"The folder of {wanted} is not given. Use root=DIR or VAEKIT_DATA=DIR.")
    return Path(found)
