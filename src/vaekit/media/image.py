"""Images: files of them, folders, and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data.decode import no_bombs, read_image, survey
from vaekit.data.files import printable
from vaekit.data.image_folder import image_files, say_found
from vaekit.figures import save_grid
from vaekit.media.medium import Names, Read, Write, there
from vaekit.media.real import Real, check, first
from vaekit.refusal import Refusal
from vaekit.track import track


class Image(Real):
    """An image file, a folder of them (also in sub-folders), named by their path there, or rows as of vectors.

    Grey values of files and of uint8 arrays go up to 255, all else lies in the data space already.
    """

    gap = 0.5  # grey
    filled = 128

    def open(self, path: Path) -> tuple[Names, Read]:
        if path.suffix in (".npy", ".npz") or self.space.shape[0] not in (1, 3):
            return super().open(path)
        files, white = self._files(path)
        _, height, width = self.space.shape

        def read(part: slice) -> Batch:
            pixels = [self._pixels(file, (height, width), white) for file in list(files.values())[part]]
            return Batch(self.fit(np.stack(pixels), path))

        return list(files), read

    def whole(self, path: str | Path) -> Iterator[tuple[str, Tensor]]:
        """Image files at their own size, `[C, H, W]`, by name. Raises `Refusal` as `open` does."""
        path = there(path)
        files, white = self._files(path)
        for name, file in files.items():
            pixels = self._pixels(file, None, white)
            yield name, Image(replace(self.space, shape=pixels.shape)).fit(pixels[None], path)[0]

    def _files(self, path: Path) -> tuple[dict[str, Path], int | None]:
        """The files by name, and the brightest value of those with more than 8 bits, which is said."""
        files = image_files(path)
        white, paged = survey(list(map(str, files)))
        white = self.space.white or white
        say_found(white, [files[row] for row in paged])
        return {printable(path.name if path.is_file() else file.relative_to(path)): file for file in files}, white

    def fit(self, x: np.ndarray, path: Path) -> Tensor:
        """What lies between the levels is rounded, in binary spaces to 1 from one half up; dequantised spaces take a
        grey value at the middle of its level.
        """
        space, values, grey = self.space, torch.from_numpy(x.astype(np.float32)), x.dtype == np.uint8
        if grey:
            values /= 255
        check(values, replace(space, levels=None), path)
        if space.levels is not None and (grey or not space.dequantized):
            level = (values * (space.levels - 1) + 0.5).floor()
            return (level + 0.5) / space.levels if space.dequantized else level / (space.levels - 1)
        return values

    def _pixels(self, file: Path, size: tuple[int, int] | None, white: int | None) -> np.ndarray:
        try:
            with no_bombs():
                return read_image(file, self.space.shape[0], size, white)
        except Exception as error:
            raise Refusal(
                f"Cannot read {printable(file)} as an image ({error}); remove it, or save it again as PNG."
            ) from error

    def write(self, path: Path, x: Tensor, columns: int) -> None:
        save_grid(path.with_suffix(".png"), first(x, columns), self.space, columns)

    @property
    def sets(self) -> dict[str, Write]:
        return super().sets | ({"image_folder": self._write_folder} if self.space.shape[0] in (1, 3) else {})

    def _write_folder(self, folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
        """images/: a PNG for each row, in a folder for each label: of its class, or else its number."""
        width = 1 if label is None else len(str(int(label.max())))
        for row in track(range(len(x)), "writing images"):
            value = None if label is None else int(label[row])
            of_class = folder / "images" / ("" if value is None else classes.get(value, f"{value:0{width}}"))
            of_class.mkdir(parents=True, exist_ok=True)
            write_png(of_class / f"{row:0{len(str(len(x)))}}.png", x[row])


def write_png(path: Path, x: np.ndarray) -> None:
    """One image `[C, H, W]`, of bytes or in [0, 1], as it is."""
    pixels = x if x.dtype == np.uint8 else (x * 255.0).round().clip(0, 255).astype(np.uint8)
    PIL.Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path)
