"""Arrays on disk, built once and memory-mapped afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from vaekit.refusal import Refusal

FORMAT = 2  # raise it when a source stores its rows differently, and every cache is rebuilt
WEEK = 7 * 86_400  # seconds


def fingerprint(files: Iterable[str | Path]) -> str:
    """A short hash of the names, sizes and modification times of `files`."""
    stamp = hashlib.sha256(str(FORMAT).encode())
    for file in files:
        status = os.stat(file)
        stamp.update(os.fsencode(file) + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return stamp.hexdigest()[:16]


def cached(folder: str | Path | None, key: str, fingerprint: str, build: Callable[[Path], None]) -> dict[str, Any]:
    """The arrays that `build` writes as `NAME.npy` into the folder it is given, by name, memory-mapped.

    They are built again only when `fingerprint` has changed. A finished build appears under its final name by one
    rename, so that half a cache is never used. A build that was killed or interrupted finds what it left in its folder
    when it is called again; of two at once, one waits for the other.

    folder: None for `$VAEKIT_CACHE`, or else `~/.cache/vaekit`.
    Raises `Refusal` where the folder cannot be written.
    """
    folder = Path(folder or os.environ.get("VAEKIT_CACHE") or "~/.cache/vaekit").expanduser()
    done = folder / f"{key}-{fingerprint}"
    if not done.is_dir():
        unfinished, lock = folder / f".building-{done.name}", folder / f".building-{done.name}.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.touch()
        except OSError as error:
            raise Refusal(f"Cannot write the cache folder {folder}; choose another by data.cache=FOLDER.") from error
        with FileLock(lock):  # which the system takes off a process that dies
            try:
                if not done.is_dir():
                    unfinished.mkdir(exist_ok=True)
                    build(unfinished)
                    unfinished.rename(done)
            except Exception:  # unlike an interruption, it would come again
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            finally:
                lock.unlink()
        _sweep(folder, key, done)
    # copy-on-write: the files stay as they are, and torch does not warn of memory that cannot be written
    return {file.stem: np.load(file, mmap_mode="c") for file in sorted(done.glob("*.npy"))}


def _sweep(folder: Path, key: str, done: Path) -> None:
    """Remove what `done` replaces, and what builds left behind that nobody has gone on with for a week."""
    outdated = [old for old in folder.glob(f"{key}-*") if old != done and old.name.rpartition("-")[0] == key]
    for old in outdated + [old for old in folder.glob(".building-*") if time.time() - old.stat().st_mtime > WEEK]:
        shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
