"""The files of a folder, and the usual names of training, validation and test parts."""

from __future__ import annotations

import codecs
import logging
import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vaekit.refusal import Refusal

PARTS = {
    "train": ("train", "training", "trainset"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "testset", "eval", "evaluation"),
}

ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

log = logging.getLogger(__name__)


def part_of(name: str) -> str | None:
    """The part (train, val, test) that a name such as `Train`, `seg_train` or `test-data` means; None for none or two.

    Args:
        name: Of a folder or an array.

    Example:
        >>> from vaekit.data.files import part_of
        >>> part_of("seg_train"), part_of("cats")
        ('train', None)
    """
    words = re.split(r"[\W\d_]+", name.lower())
    found = [part for part, names in PARTS.items() if not {*names}.isdisjoint(words)]
    return found[0] if len(found) == 1 else None


def check_folder(path: Path, setting: str, kind: str) -> None:
    """Refuse a path that is not a folder.

    Args:
        path: What the user gave.
        setting: Its name, e.g. `data.root`.
        kind: What is expected in the folder, e.g. `images`.

    Raises:
        Refusal: If there is nothing at the path, or a file.
    """
    if path.is_dir():
        return
    if path.exists():
        raise Refusal(f"{path.absolute()} is a file, expected a folder of {kind}. Try {setting}={path.parent}.")
    raise Refusal(f"There is no folder {path.absolute()}. Give the folder of your {kind} by {setting}=FOLDER.")


def below(top: Path, suffixes: Collection[str]) -> Iterator[str]:
    """The path of each file below a folder with one of the suffixes, without hidden ones.

    Each folder is read once, however many links lead to it. Broken links, pipes and other special files, and folders
    that cannot be read are named in a warning.

    Args:
        top: The folder.
        suffixes: In lower case, e.g. `.png`.
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


def report_skipped(problems: Sequence[str], total: int, kind: str, where: str) -> None:
    """Name files that are skipped in a warning.

    Args:
        problems: A sentence on each.
        total: Number of all files.
        kind: What they are, e.g. `images`.
        where: The setting that names their folder, e.g. `data.root`.

    Raises:
        Refusal: If all are skipped.
    """
    if not problems:
        return
    if len(problems) == total:
        raise Refusal(f"None of the {total} {kind} can be read ({problems[0]}). Name another folder by {where}.")
    listed = "\n".join([*problems[:10], *["..."][: len(problems) - 10]])
    log.warning("Skipped %d of %d %s that cannot be read:\n%s", len(problems), total, kind, listed)


def printable(path: str | Path) -> str:
    r"""A path as text that can be written: bytes that are not UTF-8, as in names from other systems, as \xe9.

    Args:
        path: The path.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in the encoding of its byte order mark; lines end in a line feed.

    Args:
        path: The file.

    Raises:
        Refusal: If the file is not text; the message names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refusal(f"Cannot read {printable(path)} ({error.strerror}); name another file.") from error
    encoding = next((name for mark, name in ENCODINGS.items() if data.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and 0 in data:
        guess = "utf-16le" if data.index(0) % 2 else "utf-16be"
        hint = f"Convert the file, if it is UTF-16 by: {_converting(path, guess)}"
        raise Refusal(
            f"Cannot read {printable(path)}, line {data.count(10, 0, data.index(0)) + 1}: it holds a zero byte, so it "
            f"is not text in UTF-8. {hint if _is_text(data, guess) else 'Name a file of text.'}"
        )
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        raise Refusal(
            f"Cannot read {printable(path)}, line {before.count(10) + 1}: byte {error.start - before.rfind(10)}, "
            f"{error.object[error.start : error.start + 1]!r}, is not {encoding.removesuffix('-sig').upper()}. Convert "
            f"the file, if it is Latin-1 by: {_converting(path, 'latin1')}"
        ) from error


def _is_text(data: bytes, encoding: str) -> bool:
    try:
        return "\0" not in data.decode(encoding)
    except UnicodeDecodeError:
        return False


def _converting(path: Path, encoding: str) -> str:
    return f"iconv -f {encoding} -t utf-8 {shlex.quote(printable(path))} > utf8{path.suffix}"
