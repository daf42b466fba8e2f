"""Files that are there whole or not at all: written beside, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """The path to write to, which takes the place of `path` once all of it is written.

    A process that is killed, or a full disk, leaves `path` as it was. Permissions follow the umask, whoever writes. A
    link at either path is replaced, not followed.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}-{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        part.touch()
        mode = part.stat().st_mode
        yield part
        part.chmod(mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is none, or a damaged file."""
    try:
        found = parse_json(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def parse_json(text: str | bytes) -> Any:
    """`json.loads`. Raises `ValueError` also for values that are nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
