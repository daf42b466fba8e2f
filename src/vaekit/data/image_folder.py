"""Any folder of images."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from functools import cached_property
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.lib.format import open_memmap

from vaekit.data.cache import cached, fingerprint
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

    @property
    def _official(self) -> bool:
        return (self.root / "train").is_dir() and (self.root / "test").is_dir()

    def _files(self, split: Split) -> list[Path]:
        """Every file of `split` that looks like an image, sorted, without hidden ones."""
        if not self.root.is_dir():
            raise Refusal(
                f"There is no folder {self.root.absolute()}; name the one with your images by data.root=FOLDER."
            )
        found = []
        for top in [self.root / part for part in PARTS[split]] if self._official else [self.root]:
            for folder, below, names in os.walk(top, followlinks=True):
                below[:] = [name for name in below if not name.startswith(".")]
                found += [Path(folder, name) for name in names if not name.startswith(".")]
        return sorted(file for file in found if file.suffix.lower() in SUFFIXES)

    def _classes(self) -> dict[str, int] | None:
        """Class folders' labels; None if some image lies in no class folder."""
        splits: tuple[Split, ...] = ("train", "test") if self._official else ("train",)
        names = {self._class(file) for split in splits for file in self._files(split)}
        return None if "" in names else {name: label for label, name in enumerate(sorted(names))}

    def _class(self, file: Path) -> str:
        folders = file.relative_to(self.root).parts[self._official : -1]
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

    def _build(self, files: list[Path], folder: Path) -> None:
        channels, height, width = shape = self.space.shape
        x = open_memmap(folder / "all.npy", mode="w+", dtype=np.uint8, shape=(len(files), *shape))

        def decode(row: int) -> str | None:
            """Fill a row; what is wrong with the file if it cannot be used."""
            try:
                pixels = read_image(files[row], channels, self.size)
            except Exception as error:  # Pillow raises nearly anything on a broken file
                return f"{files[row]}: {error}"
            if pixels.shape != shape:
                raise Refusal(
                    f"The folder has images of different sizes ({files[row]} is {pixels.shape[1]}x{pixels.shape[2]}, "
                    f"the first one {height}x{width}); set data.image_size, for example data.image_size=64."
                )
            x[row] = pixels
            return None

        with ThreadPool(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
            wrong = pool.map(decode, range(len(files)), chunksize=16)  # Pillow decodes without the interpreter's lock
        usable = [row for row, problem in enumerate(wrong) if problem is None]
        problems = [problem for problem in wrong if problem is not None]
        if not usable:
            raise Refusal(
                f"None of the {len(files)} images in {self.root} can be read ({problems[0]}); try another data.root."
            )
        if problems:
            log.warning(
                "Skipped %d of %d images that cannot be read:\n%s%s",
                len(problems), len(files), "\n".join(problems[:10]), "\n..." if len(problems) > 10 else "",
            )  # fmt: skip
            kept = open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(len(usable), *shape))
            for row, old in enumerate(usable):
                kept[row] = x[old]
            (folder / "all.npy").unlink()
        else:
            (folder / "all.npy").rename(folder / "x.npy")
        classes = self._classes()
        if classes is not None:
            np.save(folder / "label.npy", np.array([classes[self._class(files[row])] for row in usable]))


def read_image(file: Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """The image as uint8 `[channels, height, width]`; Pillow raises nearly anything on a broken file.

    size: (height, width) to resize and crop to at the centre; None takes the image as it is.
    """
    with PIL.Image.open(file) as opened:
        image: PIL.Image.Image = PIL.ImageOps.exif_transpose(opened)
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
