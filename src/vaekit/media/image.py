"""Image files, folders of them, and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data.decode import by_file, limited_pixels, read_pages, survey, unreadable
from vaekit.data.files import printable, report_skipped
from vaekit.data.image_folder import image_files, log_survey
from vaekit.data.npz import holds_arrays
from vaekit.media.figures import Headings, save_grid
from vaekit.media.medium import Names, Read, Write, existing
from vaekit.media.real import Real, check, first
from vaekit.refusal import Refusal
from vaekit.spaces import Image as Space
from vaekit.track import track


class Image(Real):
    """An image file, a folder of them (also in sub-folders) named by their path in it, or rows as for vectors.

    Gray values of files and of uint8 arrays go up to 255; other values are in the data space already.
    """

    gap = 0.5  # gray
    filled = 16

    def open(self, path: Path) -> tuple[Names, Read]:
        if holds_arrays(path) or self.space.shape[0] not in (1, 3):
            return super().open(path)
        _, height, width = self.space.shape
        images, white = self._images(path, (height, width))

        def read(part: slice) -> Batch:
            pixels = [*self._pixels(list(images.values())[part], (height, width), white)]
            return Batch(self.fit(np.stack(pixels), path))

        return list(images), read

    def whole(self, path: str | Path) -> Iterator[tuple[str, Tensor]]:
        """Image files at their own size, `[C, H, W]`, by name. Raises `Refusal` as `open` does."""
        path = existing(path)
        images, white = self._images(path, None)
        for name, pixels in zip(images, self._pixels(images.values(), None, white), strict=True):
            yield name, Image(replace(self.space, shape=pixels.shape)).fit(pixels[None], path)[0]

    def _images(self, path: Path, size: tuple[int, int] | None) -> tuple[dict[str, tuple[str, int]], int | None]:
        """Files and pages by name, and the brightest value of files with more than 8 bits; both are logged.

        Images of a folder that cannot be read are logged and left out.
        """
        files = [str(file) for file in image_files(path)]
        white, paged = survey(files)
        white, pages = log_survey(files, self.space.white or white, paged)
        images = {}
        for file in files:
            name = printable(path.name if path.is_file() else os.path.relpath(file, path))
            for page in pages.get(file, [0]):
                images[f"{name}#{page + 1}" if file in pages else name] = (file, page)
        if path.is_file():
            return images, white
        wrong = unreadable([*images.values()], self.space.shape[0], size, white)
        report_skipped([*wrong.values()], len(images), "images", "task.input")
        return {name: image for name, image in images.items() if image not in wrong}, white

    def fit(self, x: np.ndarray, path: Path) -> Tensor:
        """Pixels in the data space. Values between two gray values are rounded; in binary spaces 0.5 becomes 1.

        A gray value in a dequantized space becomes the middle of its bin.
        """
        space, values, gray = self.space, torch.from_numpy(x.astype(np.float32)), x.dtype == np.uint8
        if gray:
            values /= 255
        check(values, replace(space, bins=None), path)
        return to_levels(values, space) if gray or not space.dequantized else values

    def _pixels(
        self, images: Iterable[tuple[str, int]], size: tuple[int, int] | None, white: int | None
    ) -> Iterator[np.ndarray]:
        for file, pages in by_file(images):
            try:
                with limited_pixels():
                    pixels = [*read_pages(file, pages, self.space.shape[0], size, white)]
            except Exception as error:
                raise Refusal(
                    f"Cannot read {printable(file)} as an image ({error}); remove it, or save it again as PNG."
                ) from error
            yield from pixels

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        save_grid(path.with_suffix(".png"), first(x, columns), self.space, columns, headings)

    @property
    def set_writers(self) -> dict[str, Write]:
        return super().set_writers | ({"image_folder": self._write_folder} if self.space.shape[0] in (1, 3) else {})

    def _write_folder(self, folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
        """images/: a PNG for each row, in a folder for each class, named by the class or its number."""
        width = 1 if label is None else len(str(int(label.max())))
        for row in track(range(len(x)), "writing images"):
            value = None if label is None else int(label[row])
            of_class = folder / "images" / ("" if value is None else classes.get(value, f"{value:0{width}}"))
            of_class.mkdir(parents=True, exist_ok=True)
            write_png(of_class / f"{row:0{len(str(len(x)))}}.png", x[row])


def write_png(path: Path, x: np.ndarray) -> None:
    """Write one image as it is.

    Args:
        path: The PNG file.
        x: `[C, H, W]`, bytes, or floats in [0, 1].
    """
    pixels = x if x.dtype == np.uint8 else (x * 255.0).round().clip(0, 255).astype(np.uint8)
    PIL.Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path)


def to_levels(values: Tensor, space: Space) -> Tensor:
    """Gray values in the data space.

    Args:
        values: In [0, 1].
        space: Of images; its values are returned unchanged if it has no gray levels.

    Example:
        >>> to_levels(torch.tensor([0.0, 0.4, 1.0]), Space((1, 1, 3), bins=3))
        tensor([0.0000, 0.5000, 1.0000])
    """
    if space.bins is None:
        return values
    level = (values * (space.bins - 1) + 0.5).floor()
    return (level + 0.5) / space.bins if space.dequantized else level / (space.bins - 1)
