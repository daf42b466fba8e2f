"""Any folder of images."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.lib.format import open_memmap
from rich.progress import Progress

from vaekit.data.cache import cached, fingerprint
from vaekit.data.decode import decode, limited_pixels, survey
from vaekit.data.files import PARTS, below, check_folder, part_of, printable, report_skipped
from vaekit.data.source import Rows, Source, Split, holds_bits
from vaekit.refusal import Refusal
from vaekit.spaces import Image

log = logging.getLogger(__name__)

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".avif", ".tif", ".tiff"}
SUFFIXES |= {".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".jp2"}
USES = {"train": "training", "val": "validation", "test": "test"}


def checked_size(image_size: int | Sequence[int] | None, channels: int) -> tuple[int, int] | None:
    """Height and width that images are resized to.

    Args:
        image_size: Side or [height, width] in pixels; None for images as they are.
        channels: 1 (gray) or 3 (color).

    Raises:
        Refusal: For other sizes and channels.

    Example:
        >>> checked_size(64, 3)
        (64, 64)
    """
    if channels not in (1, 3):
        raise Refusal(f"Got data.channels={channels}, expected 1 (gray) or 3 (color): data.channels=3.")
    sides = (image_size, image_size) if isinstance(image_size, int) else image_size
    if sides is not None and (len(sides) != 2 or min(sides) < 1):
        raise Refusal(f"Got data.image_size={image_size}, expected data.image_size=64 or data.image_size=[48,64].")
    return None if sides is None else (sides[0], sides[1])


class ImageFolder(Source):
    """The images below a folder, with 256 levels a channel.

    Sub-folders are classes, numbered in sorted order, unless images lie in the folder itself. Sub-folders such as
    `train`, `val` and `test`, above those of classes or in each of them, are the splits; `train` alone is split at
    random. A folder that contains all images is neither. Each page or frame of a file is an image. For images with more
    than 8 bits the brightest level is the largest value of as many bits as their values need.

    Args:
        root: The folder.
        image_size: Side or [height, width] in pixels: an image is resized until its shorter side fits, then cropped at
            the center. None takes images as they are, which must then all have one size.
        channels: 1 (gray) or 3 (color). Transparent images are laid on white.
        cache: Folder of decoded rows, see `cached`.

    Raises:
        Refusal: If there is no folder or no usable image in it, or images differ in size.
    """

    def __init__(
        self,
        root: str | Path | None,
        image_size: int | Sequence[int] | None = 64,
        channels: int = 3,
        cache: str | Path | None = None,
    ):
        if root is None:
            raise Refusal("data.root is not set; name the folder with your images, for example data.root=photos.")
        self.size = checked_size(image_size, channels)
        self.root, self.channels, self.cache = Path(root).expanduser(), channels, cache
        self.name = self.root.absolute().name

    @cached_property
    def space(self) -> Image:
        shape = (self.channels, *(self.size or self._first_size()))
        return Image(shape, white=self._white if self.root.is_dir() else None)

    def load(self, split: Split) -> Rows | None:
        files = self._split(split)
        if split == "test" and not files:
            return None
        if not files:
            raise Refusal(f"There are no images ({' '.join(sorted(SUFFIXES))}) in {self.root}; try another data.root.")
        options = f"{self.space.shape if self.size else None} {self.channels} {self.space.white} {self._depth}"
        validation = 0 if split == "test" else len(self._images(self._files["val"]))
        key, build = self._key(options, split), lambda folder: self._build(self._images(files), validation, folder)
        arrays = cached(self.cache, key, fingerprint(files), build)
        return Rows(**arrays | {"validation": int(arrays["validation"].sum()) or None})

    def _key(self, options: str, what: str) -> str:
        options = f"{printable(self.root.absolute())} {options}"
        return f"{printable(self.name)}-{hashlib.sha256(options.encode()).hexdigest()[:8]}-{what}"

    def _split(self, split: Split) -> list[str]:
        return self._files["test"] if split == "test" else [*self._files["train"], *self._files["val"]]

    @cached_property
    def _found(self) -> list[str]:
        """Every file that looks like an image, sorted, without hidden ones."""
        check_folder(self.root, "data.root", "images")
        return sorted(below(self.root, SUFFIXES), key=lambda file: file.split(os.sep))

    @cached_property
    def _outer_depth(self) -> int:
        """Number of folders between the root and all images."""
        return shared([self._names(file) for file in self._found])

    def _names(self, file: str) -> list[str]:
        return file.removeprefix(os.path.join(self.root, "")).split(os.sep)[:-1]

    def _folder(self, file: str, depth: int) -> str:
        return next(iter(self._names(file)[self._outer_depth + depth :]), "")

    @cached_property
    def _depth(self) -> int | None:
        """Number of folders above those of the splits, 0 or 1; None if there are no splits."""
        for depth in (0, 1):
            at = {self._folder(file, depth) for file in self._found}
            parts = {part for name in at if (part := part_of(name))}
            others = {name for name in at if not part_of(name)}
            if depth == 0 and parts and not others and "train" not in parts:
                raise Refusal(
                    f"{self.root} has images in {' and '.join(sorted(at))}, but none in train. Name one of these "
                    "folders by data.root=FOLDER; it is then split at random."
                )
            # `train` next to `ships` and `cars` is a class; a folder next to both `train` and `test` is not a split
            if "train" in parts and (not others or (depth == 0 and len(parts) > 1)):
                return depth
        return None

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """The files of `train`, `val` and `test`, sorted."""
        files: dict[str, list[str]] = {part: [] for part in PARTS}
        for file in self._found:
            part = "train" if self._depth is None else part_of(self._folder(file, self._depth))
            if part:
                files[part].append(file)
        if self._depth is not None:
            counts = [f"{len(files[part])} for {use}" for part, use in USES.items() if files[part]]
            rest = len(self._found) - sum(map(len, files.values()))
            log.info(
                f"{printable(self.root)} comes with splits: images {', '.join(counts)}"
                f"{f'; {rest} in other folders are ignored' if rest else ''}."
            )
        return files

    def classes(self) -> dict[str, int]:
        """The label of each class folder; empty if some image lies in no class folder."""
        names = set(self._class.values())
        return {} if "" in names else {name: label for label, name in enumerate(sorted(names))}

    @cached_property
    def _class(self) -> dict[str, str]:
        """The class folder of each file: the first one, except for splits and folders that contain all images."""
        inner = {file: self._names(file)[self._outer_depth :] for files in self._files.values() for file in files}
        if self._depth is not None:
            split = {file: part_of(folders.pop(self._depth)) for file, folders in inner.items()}
            # in some data sets train/ contains only one folder, train/train/ or train/images/
            alike = [["" if part_of(name) == split[file] else name for name in inner[file]] for file in inner]
            inner = {file: folders[shared(alike) :] for file, folders in inner.items()}
        return {file: printable(folders[0]) if folders else "" for file, folders in inner.items()}

    @property
    def _white(self) -> int | None:
        """The brightest value of images with more than 8 bits."""
        return self._surveyed[0]

    def _images(self, files: Sequence[str]) -> list[tuple[str, int]]:
        """Files and their pages."""
        pages = self._surveyed[1]
        return [(file, page) for file in files for page in pages.get(file, [0])]

    @cached_property
    def _surveyed(self) -> tuple[int | None, dict[str, list[int]]]:
        """The brightest value of images with more than 8 bits, and the pages of files with several. Logged once."""
        files = [file for part in self._files.values() for file in part]

        def build(folder: Path) -> None:
            white, paged = survey(files)
            np.save(folder / "white.npy", np.array([white or 0]))
            np.save(folder / "pages.npy", paged)

        found = cached(self.cache, self._key("", "survey"), fingerprint(files), build)
        return log_survey(files, int(found["white"][0]) or None, found["pages"])

    def _first_size(self) -> tuple[int, int]:
        """Height and width of the first image that can be opened, from its header."""
        for file in self._split("train"):
            try:
                with limited_pixels(), PIL.Image.open(file) as image:
                    width, height = image.size
                    turned = image.getexif().get(0x0112, 1) >= 5  # portrait format
                    return (width, height) if turned else (height, width)
            except Exception:  # Pillow raises nearly anything on a broken file
                continue
        raise Refusal(f"There is no readable image in {self.root}; try another data.root.")

    def _build(self, images: list[tuple[str, int]], validation: int, folder: Path) -> None:
        """Decode images into the folder, and continue a build that was killed.

        Args:
            images: Files and pages.
            validation: Number of images at the end that belong to the validation split.
            folder: The folder.
        """
        pixels, flags = folder / "all.npy", folder / "done.npy"
        if not flags.exists():  # created last, by a rename
            open_memmap(pixels, mode="w+", dtype=np.uint8, shape=(len(images), *self.space.shape))
            np.save(folder / "none.npy", np.zeros(len(images), np.bool_))
            (folder / "none.npy").rename(flags)
        done, problems = np.load(flags, mmap_mode="r+"), dict[int, str]()
        with Progress() as progress:
            bar = progress.add_task("caching images", total=len(images), completed=int(done.sum()))
            for rows, wrong in decode(images, np.flatnonzero(~done), pixels, self.size, self.space.white):
                done[[row for row in rows if row not in wrong]] = True
                problems |= wrong
                progress.advance(bar, len(rows))
        usable, x = np.flatnonzero(done), np.load(pixels, mmap_mode="r")
        report_skipped([problems[row] for row in sorted(problems)], len(images), "images", "data.root")
        if holds_bits(x) and 0 < x[usable].mean() < 1:
            raise Refusal(
                f"The images in {self.root} hold only the gray values 0 and 1 of 256, which are both black. Multiply "
                "them by 255, or save them with one bit per pixel."
            )
        if problems:
            kept = open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(len(usable), *self.space.shape))
            for start in range(0, len(usable), 1024):
                kept[start : start + 1024] = x[usable[start : start + 1024]]
        classes = self.classes()
        if classes:
            np.save(folder / "label.npy", np.array([classes[self._class[images[row][0]]] for row in usable]))
        np.save(folder / "validation.npy", usable >= len(images) - validation)
        if problems:
            pixels.unlink()
        else:
            pixels.rename(folder / "x.npy")
        flags.unlink()


def image_files(path: Path) -> list[Path]:
    """An image file, or the image files of a folder, sorted, without hidden ones.

    Args:
        path: The file or folder.

    Raises:
        Refusal: If there is none.
    """
    files = [path] if path.is_file() else sorted(map(Path, below(path, SUFFIXES)))
    if not files:
        raise Refusal(f"There are no images ({' '.join(sorted(SUFFIXES))}) in {path}; name another folder.")
    return files


def shared(paths: Sequence[list[str]]) -> int:
    """Number of folders that all paths begin with, without one in which a path ends.

    Args:
        paths: Names of folders from the top.
    """
    common = sum(1 for _ in takewhile(lambda names: len({*names}) == 1, zip(*paths, strict=False)))
    return max(0, common - (common == min(map(len, paths), default=0)))


def log_survey(files: Sequence[str], white: int | None, paged: np.ndarray) -> tuple[int | None, dict[str, list[int]]]:
    """Log the result of `survey`, and return the brightest value and the pages of each file with several.

    Args:
        files: Image files.
        white: Brightest value of files with more than 8 bits, or None.
        paged: Numbers of a file and a page, `[n, 2]`.
    """
    pages: dict[str, list[int]] = {}
    for row, page in paged.tolist():
        pages.setdefault(files[row], []).append(page)
    if white:
        log.info(f"Images of more than 8 bits: 0 is black, {white} is white, in 256 levels.")
    if pages:
        log.info(f"Each page or frame is an image: {len(paged):,} in {len(pages):,} files.")
    return white, pages
