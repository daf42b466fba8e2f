"""Decodes image files on all cores. Worker processes import only this file, so it does not import torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps

from vaekit.data.files import printable
from vaekit.refusal import Refusal

BLOCK = 256  # images that a worker decodes at once
PIXELS, PACKED = 2**24, 100  # of an image at most, and so many more for each byte of its file
FEW = 2000  # images up to which threads finish before processes would have started


@contextmanager
def limited_pixels() -> Iterator[None]:
    """A context in which Pillow refuses images with more pixels than it warns of. Affects all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        yield


def read_pages(
    file: str | Path, pages: Sequence[int], channels: int, size: tuple[int, int] | None, white: int | None = None
) -> Iterator[np.ndarray]:
    """Pages or frames of an image file as uint8 `[channels, height, width]` each.

    Pillow raises many kinds of errors on a broken file.

    Args:
        file: The image file.
        pages: Numbers from 0, ascending.
        channels: 1 (gray) or 3 (color).
        size: Height and width to resize and crop to at the center; None takes the image as it is.
        white: Brightest value of images with more than 8 bits; None for that of this file.
    """
    with PIL.Image.open(file) as opened:
        if opened.width * opened.height * (1 + pages[-1]) > PIXELS + PACKED * os.stat(file).st_size:
            number = f"{1 + pages[-1]} times " if pages[-1] else ""
            raise ValueError(
                f"{number}{opened.width}x{opened.height} pixels in a file of {os.stat(file).st_size:,} bytes"
            )
        for page in pages:
            opened.seek(page)
            yield pixels_of(opened, channels, size, white)


def pixels_of(
    opened: PIL.Image.Image, channels: int, size: tuple[int, int] | None, white: int | None = None
) -> np.ndarray:
    """Pixels of an image of Pillow, uint8 `[channels, height, width]`.

    Args:
        opened: The image; of a file the page that it is at.
        channels: 1 (gray) or 3 (color).
        size: Height and width to resize and crop to at the center; None takes the image as it is.
        white: Brightest value of images with more than 8 bits; None for that of this image.
    """
    # of 16 bits per channel Pillow keeps the upper 8
    halved = any(";16" in str(tile[3]) for tile in getattr(opened, "tile", ()))
    image = PIL.ImageOps.exif_transpose(opened)
    if _is_deep(image):
        values, most = np.asarray(image, np.float64), _white(image)
        if most > (white := white or most):
            raise ValueError(f"its values go up to {values.max():g}, those of the data set only to {white}")
        image = PIL.Image.fromarray((values * 255 / white).round().astype(np.uint8))
    elif halved and np.asarray(image)[..., :3].max() < 64:
        raise ValueError("its colors use 14 of 16 bits or fewer, which cannot be read; save it with 8 bits")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        image = PIL.ImageOps.fit(image, size[::-1], PIL.Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def by_file(images: Iterable[tuple[str, int]]) -> Iterator[tuple[str, list[int]]]:
    """Each file with those of its pages that follow each other, so that it is opened once.

    Args:
        images: Files and pages.
    """
    for file, group in groupby(images, key=itemgetter(0)):
        yield file, [page for _, page in group]


def _is_deep(image: PIL.Image.Image) -> bool:
    """Whether its pixels are whole numbers of 16 or 32 bits, or floats, which Pillow would clip at 255."""
    return image.mode.startswith("I") or image.mode == "F"


def _white(image: PIL.Image.Image) -> int:
    """The largest value of as many bits as the pixels of a deep image need: 4095 for 12 bits, 1 for floats up to 1."""
    values = np.asarray(image)
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError("it has negative, infinite or NaN pixels, expected brightness from 0")
    return 2 ** max(1, int(np.ceil(values.max())).bit_length()) - 1


def survey(files: Sequence[str]) -> tuple[int | None, np.ndarray]:
    """Depth and pages of image files; files that cannot be read are skipped.

    Args:
        files: Image files.

    Returns:
        The brightest value of files with more than 8 bits (None where there are none), and the pages or frames of files
            that have several: numbers of a file and a page, `[n, 2]`. Pages of another size than the first one are
            previews, and left out.

    Raises:
        Refusal: If one file holds fractions, and another whole numbers of more than 8 bits.
    """
    blocks = [range(start, min(start + BLOCK, len(files))) for start in range(0, len(files), BLOCK)]
    with limited_pixels(), _pool(len(files)) as pool:
        found = list(pool.map(_survey, [files[block.start : block.stop] for block in blocks]))
    both = [*zip(blocks, found, strict=True)]
    whites = [(white, block[place]) for block, (bright, _) in both for white, place in bright]
    (least, dark), (most, bright) = min(whites, default=(1, 0)), max(whites, default=(1, 0))
    if least == 1 < most:
        raise Refusal(
            f"{printable(files[dark])} holds values up to 1 and {printable(files[bright])} up to {most}, expected one "
            f"range in a folder. Save the former times {most}."
        )
    pages = [(block[place], page) for block, (_, paged) in both for place, page in paged]
    return most if whites else None, np.array(pages, np.int64).reshape(-1, 2)


def _survey(files: Sequence[str]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The largest value of each file with more than 8 bits and its place, and the places and pages as in `survey`."""
    whites, paged = [], []
    for place, file in enumerate(files):
        try:
            with PIL.Image.open(file) as image:
                several = image.format != "MPO" and getattr(image, "is_animated", False)  # MPO: its pages are previews
                size, pages, white = image.size, [], 0
                for page in range(getattr(image, "n_frames", 1) if several else 1):
                    image.seek(page)
                    if image.size == size:
                        pages.append((place, page))
                        white = max(white, _white(image) if _is_deep(image) else 0)
        except Exception:  # the error is reported when it is decoded
            continue
        whites += [(white, place)] if white else []
        paged += pages if len(pages) > 1 else []
    return whites, paged


def unreadable(
    images: Sequence[tuple[str, int]], channels: int, size: tuple[int, int] | None, white: int | None
) -> dict[tuple[str, int], str]:
    """The images that cannot be decoded, and for each a sentence that says why.

    Args:
        images: Files and pages, those of a file together.
        channels: See `read_pages`.
        size: See `read_pages`.
        white: See `read_pages`.
    """
    files = [*by_file(images)]
    blocks = [files[start : start + BLOCK] for start in range(0, len(files), BLOCK)]
    wrong: dict[tuple[str, int], str] = {}
    with limited_pixels(), _pool(len(images)) as pool:
        for found in pool.map(partial(_unreadable, channels=channels, size=size, white=white), blocks):
            wrong |= found
    return wrong


def _unreadable(
    files: list[tuple[str, list[int]]], channels: int, size: tuple[int, int] | None, white: int | None
) -> dict[tuple[str, int], str]:
    wrong: dict[tuple[str, int], str] = {}
    for file, pages in files:
        left = [*pages]
        try:
            for _pixels in read_pages(file, pages, channels, size, white):
                left.pop(0)
        except Exception as error:  # Pillow raises nearly anything on a broken file
            wrong |= {(file, page): f"{printable(file)}: {error}" for page in left}
    return wrong


def decode(
    images: Sequence[tuple[str, int]], rows: np.ndarray, target: Path, size: tuple[int, int] | None, white: int | None
) -> Iterator[tuple[np.ndarray, dict[int, str]]]:
    """Write images into an array on disk, in parallel.

    Args:
        images: A file and a page of each row of the array.
        rows: Numbers of the rows to write.
        target: A .npy file of an array `[N, C, H, W]`, uint8.
        size: See `read_pages`.
        white: See `read_pages`.

    Returns:
        Blocks, as they are finished: their rows, and for rows that cannot be used a sentence that says why.

    Raises:
        Refusal: If an image is of another size than the array's.
    """
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    with limited_pixels(), _pool(len(rows)) as pool:
        try:
            jobs = {
                pool.submit(_decode, [images[row] for row in block], block, target, size, white): block
                for block in blocks
            }
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode(
    images: list[tuple[str, int]], rows: np.ndarray, target: Path, size: tuple[int, int] | None, white: int | None
) -> dict[int, str]:
    x, wrong, left = np.load(target, mmap_mode="r+"), dict[int, str](), rows.tolist()
    _, channels, height, width = x.shape
    for file, pages in by_file(images):
        own, left = left[: len(pages)], left[len(pages) :]
        try:
            for pixels in read_pages(file, pages, channels, size, white):
                if pixels.shape != x.shape[1:]:
                    raise Refusal(
                        f"The folder has images of different sizes ({printable(file)} is {pixels.shape[1]}x"
                        f"{pixels.shape[2]}, the first one {height}x{width}); set data.image_size, for example "
                        "data.image_size=64."
                    )
                x[own.pop(0)] = pixels
        except Refusal:
            raise
        except Exception as error:
            wrong |= dict.fromkeys(own, f"{printable(file)}: {error}")
    x.flush()  # finished rows survive a crash of the machine
    return wrong


def _pool(images: int) -> Executor:
    """One worker per core: threads, or processes where the GIL would slow many threads down."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if images <= FEW:
        return ThreadPoolExecutor(cores)
    context = multiprocessing.get_context("spawn")  # forks inherit torch's locks
    return ProcessPoolExecutor(cores, context, _end_with_parent)


def _end_with_parent() -> None:
    """Let the parent process handle interruptions, and end with it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
    threading.Thread(target=end, daemon=True).start()
