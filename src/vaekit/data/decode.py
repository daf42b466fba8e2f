"""Image files to pixels, by all cores. Processes that decode import this file alone, so it does without torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from vaekit.refusal import Refusal

BLOCK = 256  # images that a core decodes at once
FEW = 2000  # images; up to here threads are done before processes have started


def read_image(file: str | Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """The image as uint8 `[channels, height, width]`; Pillow raises nearly anything on a broken file.

    size: (height, width) to resize and crop to at the centre; None takes the image as it is.
    """
    with PIL.Image.open(file) as opened:
        image: PIL.Image.Image = opened
        PIL.ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
            image = PIL.Image.fromarray((np.asarray(image).clip(0, 65_535) / 257).round().astype(np.uint8))
        elif image.mode == "F":
            raise ValueError("floating-point pixels have no known range")
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if size is not None:
            image = PIL.ImageOps.fit(image, size[::-1], PIL.Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def decode(
    files: Sequence[str], rows: np.ndarray, target: Path, size: tuple[int, int] | None
) -> Iterator[tuple[np.ndarray, dict[int, str]]]:
    """Write these `rows` of `files` into the array at `target`, `[N, C, H, W]` in a .npy file; by blocks, as they are
    done: their rows, and what is wrong with those that cannot be used.

    size: see `read_image`. Raises `Refusal` for images of another size than the array's.
    """
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    with _pool(len(rows)) as pool:
        try:
            jobs = {pool.submit(_decode, [files[row] for row in block], block, target, size): block for block in blocks}
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode(files: list[str], rows: np.ndarray, target: Path, size: tuple[int, int] | None) -> dict[int, str]:
    x, wrong = np.load(target, mmap_mode="r+"), {}
    _, channels, height, width = x.shape
    for row, file in zip(rows, files, strict=True):
        try:
            pixels = read_image(file, channels, size)
        except Exception as error:
            wrong[int(row)] = f"{file}: {error}"
            continue
        if pixels.shape != x.shape[1:]:
            raise Refusal(
                f"The folder has images of different sizes ({file} is {pixels.shape[1]}x{pixels.shape[2]}, "
                f"the first one {height}x{width}); set data.image_size, for example data.image_size=64."
            )
        x[row] = pixels
    x.flush()  # what counts as done outlives even the machine
    return wrong


def _pool(images: int) -> Executor:
    """A worker a core: threads, or processes where Python's lock would hold many threads up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if images <= FEW:
        return ThreadPoolExecutor(cores)
    return ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _follow)  # forks inherit torch's locks


def _follow() -> None:
    """Leave an interruption to the process that started this one, but do not outlive it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end, daemon=True).start()
