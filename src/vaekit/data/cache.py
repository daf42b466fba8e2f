"""Arrays on disk, built once and memory-mapped afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock

from vaekit.refusal import Refusal

FORMAT = 3  # version of the layout; raising it rebuilds every cache
EXPIRY = 7 * 86_400  # seconds


def fingerprint(files: Iterable[str | Path]) -> str:
    """A short hash of the names, sizes and modification times of files.

    Args:
        files: Their paths.
    """
    stamp = hashlib.sha256(str(FORMAT).encode())
    for file in files:
        status = os.stat(file)
        stamp.update(os.fsencode(file) + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return stamp.hexdigest()[:16]


def root(folder: str | Path | None) -> Path:
    """The folder of all caches.

    Args:
        folder: It; None for `$VAEKIT_CACHE`, or else `~/.cache/vaekit`.
    """
    return Path(folder or os.environ.get("VAEKIT_CACHE") or "~/.cache/vaekit").expanduser()


def cached(folder: str | Path | None, key: str, fingerprint: str, build: Callable[[Path], None]) -> dict[str, Any]:
    """The arrays that a function writes into a folder, by name, memory-mapped.

    They are rebuilt only if the fingerprint has changed. A finished build gets its final name by one rename, so that an
    incomplete cache is never used. A build that was killed or interrupted finds its earlier files in the folder when it
    runs again. If two processes build the same cache, one waits for the other.

    Args:
        folder: Folder of all caches; None for `$VAEKIT_CACHE`, or else `~/.cache/vaekit`.
        key: Name of this cache in it.
        fingerprint: `fingerprint` of the files that the arrays are computed from.
        build: Writes arrays as `NAME.npy` into the folder that it receives.

    Raises:
        Refusal: If the folder cannot be written.
    """
    folder = root(folder)
    done = folder / f"{key}-{fingerprint}"
    while True:
        try:
            return _open(done)
        except (FileNotFoundError, NotADirectoryError):  # not built yet, or removed by another process just now
            _build(folder, done, build)
            _remove_outdated(folder, key, done)


def _open(done: Path) -> dict[str, Any]:
    """The arrays of a finished build. Raises `FileNotFoundError` if a file is missing or removed meanwhile."""
    before = done.stat()
    # copy-on-write: the files do not change, and torch does not warn of read-only memory
    arrays = {file.stem: np.load(file, mmap_mode="c") for file in sorted(done.glob("*.npy"))}
    after = done.stat()
    if (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns):
        raise FileNotFoundError(done)
    return arrays


def _build(folder: Path, done: Path, build: Callable[[Path], None]) -> None:
    unfinished, lock = folder / f".building-{done.name}", folder / f".building-{done.name}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise Refusal(f"Cannot write the cache folder {folder}; choose another by data.cache=FOLDER.") from error
    with FileLock(lock):  # released by the system when the process dies
        try:
            if not done.is_dir():
                unfinished.mkdir(exist_ok=True)
                build(unfinished)
                unfinished.rename(done)
        except Exception:  # unlike an interruption, the error would recur
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        finally:
            lock.unlink(missing_ok=True)


def _remove_outdated(folder: Path, key: str, done: Path) -> None:
    """Remove the caches that `done` replaces, and unfinished builds that are older than a week.

    Each folder is renamed before it is removed, so that no process opens part of it; of several processes one does so.
    """
    outdated = [old for old in folder.glob(f"{key}-*") if old != done and old.name.rpartition("-")[0] == key]
    for old in [*outdated, *folder.glob(".building-*")]:
        with suppress(FileNotFoundError):
            if old in outdated or time.time() - old.stat().st_mtime > EXPIRY:
                with TemporaryDirectory(prefix=".building-", dir=folder, ignore_cleanup_errors=True) as removed:
                    old.rename(Path(removed) / old.name)
