"""The files of a data set that lies in a folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path


def below(top: Path, suffixes: Collection[str]) -> Iterator[str]:
    """The path of every file below a folder with one of these suffixes, in small letters, but hidden ones."""
    for folder, folders, names in os.walk(top, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        wanted = (name for name in names if os.path.splitext(name)[1].lower() in suffixes)
        yield from (os.path.join(folder, name) for name in wanted if not name.startswith("."))
