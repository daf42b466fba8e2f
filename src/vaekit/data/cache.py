"""Arrays on disk, built once and memory-mapped afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from vaekit.refusal import Refusal

FORMAT = 1  # raise it when a source stores its rows differently, and every cache is rebuilt


def fingerprint(files: Iterable[Path]) -> str:
    """A short hash of the names, sizes and modification times of `files`."""
    stamp = hashlib.sha256(str(FORMAT).encode())
    for file in files:
        status = file.stat()
        stamp.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return stamp.hexdigest()[:16]


def cached(
    folder: str | Path | None, key: str, fingerprint: str, build: Callable[[Path], None]
) -> dict[str, np.ndarray]:
    """The arrays that `build` writes as `NAME.npy` into the folder it is given, by name, memory-mapped.

    They are built again only when `fingerprint` has changed. A finished build appears under its final name by one
    rename, so a build that is killed, or two at once, never leave half a cache.

    folder: None for `$VAEKIT_CACHE`, or else `~/.cache/vaekit`.
    Raises `Refusal` where the folder cannot be written.
    """
    folder = Path(folder or os.environ.get("VAEKIT_CACHE") or "~/.cache/vaekit").expanduser()
    done = folder / f"{key}-{fingerprint}"
    if not done.is_dir():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = tempfile.TemporaryDirectory(prefix=".building-", dir=folder)
        except OSError as error:
            raise Refusal(f"Cannot write the cache folder {folder}; choose another by data.cache=FOLDER.") from error
        with unfinished:
            arrays = Path(unfinished.name) / "arrays"
            arrays.mkdir()
            build(arrays)
            try:
                arrays.rename(done)
            except OSError:
                if not done.is_dir():  # else another process was faster, and its arrays are as good
                    raise
        _sweep(folder, key, done)
    # copy-on-write: the files stay as they are, and torch does not warn of memory that cannot be written
    return {file.stem: np.load(file, mmap_mode="c") for file in sorted(done.glob("*.npy"))}


def _sweep(folder: Path, key: str, done: Path) -> None:
    """Remove what `done` replaces, and what builds that were killed left behind."""
    outdated = [old for old in folder.glob(f"{key}-*") if old != done and old.name.rpartition("-")[0] == key]
    killed = [old for old in folder.glob(".building-*") if time.time() - old.stat().st_mtime > 86_400]
    for old in outdated + killed:
        shutil.rmtree(old, ignore_errors=True)
