"""Image files to pixels, by all cores. Processes that decode import this file alone, so it does without torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from vaekit.data.files import printable
from vaekit.refusal import Refusal

BLOCK = 256  # images that a core decodes at once
PIXELS, PACKED = 2**24, 100  # of an image at most, and so many more for each byte of its file
FEW = 2000  # images; up to here threads are done before processes have started


@contextmanager
def no_bombs() -> Iterator[None]:
    """Images of more pixels than Pillow warns of cannot be read; for all threads, so in the main one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        yield


def read_image(file: str | Path, channels: int, size: tuple[int, int] | None, white: int | None = None) -> np.ndarray:
    """The image as uint8 `[channels, height, width]`; Pillow raises nearly anything on a broken file.

    size: (height, width) to resize and crop to at the centre; None takes the image as it is.
    white: the brightest value of images with more than 8 bits; None for that of this file.
    """
    with PIL.Image.open(file) as opened:
        image: PIL.Image.Image = opened
        halved = any(";16" in str(tile[3]) for tile in opened.tile)  # of 16 bits a channel Pillow keeps the upper 8
        if image.width * image.height > PIXELS + PACKED * os.stat(file).st_size:
            raise ValueError(f"{image.width}x{image.height} pixels in a file of {os.stat(file).st_size:,} bytes")
        PIL.ImageOps.exif_transpose(image, in_place=True)
        if _is_deep(image):
            values, most = np.asarray(image, np.float64), _white(image)
            if most > (white := white or most):
                raise ValueError(f"its values go up to {values.max():g}, those of the data set to {white}")
            image = PIL.Image.fromarray((values * 255 / white).round().astype(np.uint8))
        elif halved and np.asarray(image)[..., :3].max() < 64:
            raise ValueError("its colours use 14 of 16 bits or fewer, which cannot be read; save it with 8 bits")
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if size is not None:
            image = PIL.ImageOps.fit(image, size[::-1], PIL.Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _is_deep(image: PIL.Image.Image) -> bool:
    """Whether its pixels are whole numbers of 16 or 32 bits, or floats, which Pillow would clip at 255."""
    return image.mode.startswith("I") or image.mode == "F"


def _white(image: PIL.Image.Image) -> int:
    """The largest value of as many bits as the pixels of a deep image need: 4095 for 12, 1 for floats up to 1."""
    values = np.asarray(image)
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError("it has negative, infinite or NaN pixels, which are no brightness")
    return 2 ** max(1, int(np.ceil(values.max())).bit_length()) - 1


def survey(files: Sequence[str]) -> tuple[int | None, np.ndarray]:
    """The brightest value of those files that have more than 8 bits, None where no file has, and the numbers of those
    with further pages or frames, of which `read_image` reads the first. Files that cannot be read are passed over.
    """
    blocks = [range(start, min(start + BLOCK, len(files))) for start in range(0, len(files), BLOCK)]
    with no_bombs(), _pool(len(files)) as pool:
        found = list(pool.map(_survey, [files[block.start : block.stop] for block in blocks]))
    paged = [block[place] for block, (_, places) in zip(blocks, found, strict=True) for place in places]
    return max((white for white, _ in found), default=0) or None, np.array(paged, np.int64)


def _survey(files: Sequence[str]) -> tuple[int, list[int]]:
    white, paged = 0, []
    for place, file in enumerate(files):
        try:
            with PIL.Image.open(file) as image:
                white = max(white, _white(image) if _is_deep(image) else 0)
                if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: photographs and previews
                    paged.append(place)
        except Exception:  # what is wrong with it is said by who reads it
            continue
    return white, paged


def decode(
    files: Sequence[str], rows: np.ndarray, target: Path, size: tuple[int, int] | None, white: int | None
) -> Iterator[tuple[np.ndarray, dict[int, str]]]:
    """Write these `rows` of `files` into the array at `target`, `[N, C, H, W]` in a .npy file; by blocks, as they are
    done: their rows, and what is wrong with those that cannot be used.

    size, white: see `read_image`. Raises `Refusal` for images of another size than the array's.
    """
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    with no_bombs(), _pool(len(rows)) as pool:
        try:
            jobs = {
                pool.submit(_decode, [files[row] for row in block], block, target, size, white): block
                for block in blocks
            }
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode(
    files: list[str], rows: np.ndarray, target: Path, size: tuple[int, int] | None, white: int | None
) -> dict[int, str]:
    x, wrong = np.load(target, mmap_mode="r+"), {}
    _, channels, height, width = x.shape
    for row, file in zip(rows, files, strict=True):
        try:
            pixels = read_image(file, channels, size, white)
        except Exception as error:
            wrong[int(row)] = f"{printable(file)}: {error}"
            continue
        if pixels.shape != x.shape[1:]:
            raise Refusal(
                f"The folder has images of different sizes ({printable(file)} is {pixels.shape[1]}x{pixels.shape[2]}, "
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
    warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
    threading.Thread(target=end, daemon=True).start()
