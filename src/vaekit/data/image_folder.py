"""Any folder of images."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.lib.format import open_memmap
from rich.progress import Progress

from vaekit.data.cache import cached, fingerprint
from vaekit.data.decode import decode
from vaekit.data.files import below
from vaekit.data.source import Rows, Split
from vaekit.refusal import Refusal
from vaekit.spaces import Image

log = logging.getLogger(__name__)

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".tif", ".tiff"}
PARTS: dict[Split, tuple[str, ...]] = {"train": ("train", "val", "valid"), "test": ("test",)}  # validation: by seed


class ImageFolder:
    """The images below `root`, with 256 levels a channel.

    Sub-folders are classes, labelled by their place in sorted order, unless images lie beside them. Sub-folders
    `train` and `test`, if both are there, are the official splits (`val` then counts to train).

    image_size: side or [height, width] in pixels: an image is resized until its shorter side fits, then cropped at
        the centre. None takes images as they are, which then must all have one size.
    channels: 1 (grey) or 3 (colour). Transparent images are laid on white.
    Raises `Refusal` where there is no folder, no usable image in it, or images differ in size.
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
        if channels not in (1, 3):
            raise Refusal(f"Got data.channels={channels}, expected 1 (grey) or 3 (colour): data.channels=3.")
        sides = (image_size, image_size) if isinstance(image_size, int) else image_size
        if sides is not None and (len(sides) != 2 or min(sides) < 1):
            raise Refusal(f"Got data.image_size={image_size}, expected data.image_size=64 or data.image_size=[48,64].")
        self.root, self.channels, self.cache = Path(root).expanduser(), channels, cache
        self.size = None if sides is None else (sides[0], sides[1])
        self.name = self.root.absolute().name
        self._found: dict[Split, list[str]] = {}

    @cached_property
    def space(self) -> Image:
        return Image((self.channels, *(self.size or self._first_size())))

    def load(self, split: Split) -> Rows | None:
        official = self._official
        if split == "test" and not official:
            return None
        files = self._files(split)
        if not files:
            raise Refusal(f"There are no images ({' '.join(sorted(SUFFIXES))}) in {self.root}; try another data.root.")
        options = f"{self.root.absolute()} {self.space.shape if self.size else None} {self.channels}"
        key = f"{self.name}-{hashlib.sha256(options.encode()).hexdigest()[:8]}-{split}"
        return Rows(**cached(self.cache, key, fingerprint(files), lambda folder: self._build(files, folder)))

    @cached_property
    def _official(self) -> bool:
        return (self.root / "train").is_dir() and (self.root / "test").is_dir()

    def _files(self, split: Split) -> list[str]:
        """Every file of `split` that looks like an image, sorted, without hidden ones; looked for once."""
        if split not in self._found:
            self._found[split] = self._find(split)
        return self._found[split]

    def _find(self, split: Split) -> list[str]:
        if not self.root.is_dir():
            raise Refusal(
                f"There is no folder {self.root.absolute()}; name the one with your images by data.root=FOLDER."
            )
        tops = [self.root / part for part in PARTS[split]] if self._official else [self.root]
        return sorted((file for top in tops for file in below(top, SUFFIXES)), key=lambda file: file.split(os.sep))

    def classes(self) -> dict[str, int] | None:
        """Class folders' labels; None if some image lies in no class folder."""
        splits: tuple[Split, ...] = ("train", "test") if self._official else ("train",)
        names = {self._class(file) for split in splits for file in self._files(split)}
        return None if "" in names else {name: label for label, name in enumerate(sorted(names))}

    def _class(self, file: str) -> str:
        folders = file.removeprefix(os.path.join(self.root, "")).split(os.sep)[self._official : -1]
        return folders[0] if folders else ""

    def _first_size(self) -> tuple[int, int]:
        """Height and width of the first image that can be opened, from its header."""
        for file in self._files("train"):
            try:
                with PIL.Image.open(file) as image:
                    width, height = image.size
                    turned = image.getexif().get(0x0112, 1) >= 5  # the camera was held upright
                    return (width, height) if turned else (height, width)
            except (OSError, ValueError):
                continue
        raise Refusal(f"There is no readable image in {self.root}; try another data.root.")

    def _build(self, files: list[str], folder: Path) -> None:
        """Goes on with the rows that a build that was killed has left in the folder."""
        pixels, flags = folder / "all.npy", folder / "done.npy"
        if not flags.exists():  # it is made last, and at once
            open_memmap(pixels, mode="w+", dtype=np.uint8, shape=(len(files), *self.space.shape))
            np.save(folder / "none.npy", np.zeros(len(files), np.bool_))
            (folder / "none.npy").rename(flags)
        done, problems = np.load(flags, mmap_mode="r+"), dict[int, str]()
        with Progress() as progress:
            bar = progress.add_task("caching images", total=len(files), completed=int(done.sum()))
            for rows, wrong in decode(files, np.flatnonzero(~done), pixels, self.size):
                done[[row for row in rows if row not in wrong]] = True
                problems |= wrong
                progress.advance(bar, len(rows))
        usable = np.flatnonzero(done)
        if problems:
            self._report([problems[row] for row in sorted(problems)], len(files))
            x = np.load(pixels, mmap_mode="r")
            kept = open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(len(usable), *self.space.shape))
            for start in range(0, len(usable), 1024):
                kept[start : start + 1024] = x[usable[start : start + 1024]]
        classes = self.classes()
        if classes is not None:
            np.save(folder / "label.npy", np.array([classes[self._class(files[row])] for row in usable]))
        if problems:
            pixels.unlink()
        else:
            pixels.rename(folder / "x.npy")
        flags.unlink()

    def _report(self, problems: list[str], total: int) -> None:
        if len(problems) == total:
            raise Refusal(
                f"None of the {total} images in {self.root} can be read ({problems[0]}); try another data.root."
            )
        log.warning(
            "Skipped %d of %d images that cannot be read:\n%s%s",
            len(problems), total, "\n".join(problems[:10]), "\n..." if len(problems) > 10 else "",
        )  # fmt: skip
