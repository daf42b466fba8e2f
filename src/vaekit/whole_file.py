"""Files that are written completely or not at all: under another name first, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A context that yields a path to write to, and moves it to the final path when all is written.

    If the process is killed or the disk is full, the old file stays. Permissions follow the umask. A link at either
    path is replaced, not followed.

    Args:
        path: The final path.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from vaekit.whole_file import whole_file
        >>> with whole_file(file := Path(mkdtemp(), "a.txt")) as part:
        ...     _ = part.write_text("whole")
        >>> file.read_text()
        'whole'
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
    """Write a text file, completely or not at all.

    Args:
        path: The file.
        text: Its text, written in UTF-8.
    """
    with whole_file(path) as part:
        part.write_text(text)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: The file.

    Returns:
        Empty if the file is missing or damaged.
    """
    try:
        found = parse_json(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, as by `json.loads`.

    Args:
        text: The text.

    Raises:
        ValueError: For text that is not JSON, and for values that are nested too deep.

    Example:
        >>> from vaekit.whole_file import parse_json
        >>> parse_json('{"a": [1, 2]}')
        {'a': [1, 2]}
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
