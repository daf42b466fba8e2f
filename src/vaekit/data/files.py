"""The files of a data set that lies in a folder, and the names by which people call its parts."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path

PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
PART = {name: part for part, names in PARTS.items() for name in names}  # the part that a name in small letters means

log = logging.getLogger(__name__)


def below(top: Path, suffixes: Collection[str]) -> Iterator[str]:
    """The path of every file below a folder with one of these suffixes, in small letters, but hidden ones.

    Every folder is read once, however many links lead to it. Links that lead nowhere, files that are none (as pipes),
    and folders that cannot be read are named in a warning.
    """
    tops, seen = [str(top)], set()
    while tops:
        for folder, folders, names in os.walk(tops.pop(), onerror=_skip):
            status = os.stat(folder)
            if (place := (status.st_dev, status.st_ino)) in seen:
                folders.clear()
                continue
            seen.add(place)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            # links come last, so that what lies here has its own name rather than that of a link
            tops = [path for name in folders if os.path.islink(path := os.path.join(folder, name))] + tops
            for name in names:
                if os.path.splitext(name)[1].lower() in suffixes and not name.startswith("."):
                    path = os.path.join(folder, name)
                    if os.path.isfile(path):
                        yield path
                    else:
                        why = "is not a file" if os.path.exists(path) else "links to nothing"
                        log.warning(f"Skipped {printable(path)}, which {why}.")


def _skip(error: OSError) -> None:
    log.warning(f"Skipped the folder {printable(str(error.filename))}, which cannot be read: {error.strerror}.")


def printable(path: str | Path) -> str:
    """A path as text that can be written: bytes that are not UTF-8, as in names from other systems, as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
