"""Converts examples to integer gray values and back, with every value and the data type preserved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from vaekit.data.decode import limited_pixels
from vaekit.data.image_folder import image_files
from vaekit.data.npz import Npz, holds_arrays, map_npy
from vaekit.refusal import Refusal, reason
from vaekit.spaces import Space
from vaekit.track import track

MODES = {1: ("L", "1"), 3: ("RGB",)}  # Pillow's modes by number of channels


@dataclass(frozen=True)
class Form:
    """How values were stored before they became integers k from 0 to L - 1.

    Args:
        scale: The value of k = L - 1: L - 1 for integers k, 255 for bytes, 1 for fractions.
        dtype: The data type of the array, as numpy spells it.
        names: Names of image files relative to their folder; None for an array.

    Raises:
        ValueError: If `dtype` is not numeric.

    Example:
        >>> import numpy as np
        >>> from vaekit.coding.originals import Form
        >>> Form(scale=255, dtype="|u1").restore(np.array([0, 1]), 2)
        array([  0, 255], dtype=uint8)
    """

    scale: int
    dtype: str
    names: list[str] | None = None

    def __post_init__(self) -> None:
        if np.dtype(self.dtype).kind not in "buif":
            raise ValueError(f"dtype {self.dtype}")

    def checksum(self, x: np.ndarray, levels: int) -> str:
        """SHA-256 of the original values of integers `[N, ...]`."""
        digest = hashlib.sha256()
        for part in _parts(x):
            digest.update(self.restore(part, levels).tobytes())
        return digest.hexdigest()

    def restore(self, x: np.ndarray, levels: int) -> np.ndarray:
        """The original values of integers `[N, ...]`."""
        if self.scale == levels - 1:
            return x.astype(self.dtype)
        values = x * (self.scale / (levels - 1)) if self.scale > 1 else x / (levels - 1)
        return (np.rint(values) if self.scale > 1 else values).astype(self.dtype)


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """A few rows at a time, so that memory does not grow with the number of rows."""
    return (rows[start : start + 4096] for start in range(0, len(rows), 4096))


def read(path: Path, space: Space) -> tuple[np.ndarray, Form]:
    """Integer gray values of an array or a folder of images, and the form they were stored in.

    Args:
        path: A .npy or .npz file (there the array "x", or the only one) of integers below L, of bytes up to 255, or of
            fractions k / (L - 1); or an image file, or a folder of images with its sub-folders.
        space: The space of the run's examples.

    Returns:
        Integers `[N, *space.shape]`, and their form.

    Raises:
        Refusal: If the path cannot be read, or would not be restored exactly.
    """
    if not (path.is_file() or path.is_dir()):
        raise Refusal(f"There is no file or folder {path.absolute()}; name a folder of images, or rows.npy.")
    if holds_arrays(path):
        return from_array(load_array(path), space, path)
    if space.shape[0] not in MODES:
        raise Refusal(f"{path} is read as images, but this run's have {space.shape[0]} channels; name rows.npy.")
    top = path if path.is_dir() else path.parent
    files = image_files(path)
    names = [file.relative_to(top).as_posix() for file in files]
    png = [name if name.endswith(".png") else f"{name}.png" for name in names]
    if len(set(png)) < len(png):
        duplicate = next(name for name in png if png.count(name) > 1)
        raise Refusal(f"Two images in {path} would both be restored as {duplicate}; rename one.")
    pixels = [_read_pixels(file, space) for file in track(files, "reading")]
    if len({each.dtype for each in pixels}) > 1:
        raise Refusal(f"Some images in {path} have 2 gray values and some have 256; put them into separate folders.")
    x, form = from_array(np.stack(pixels), space, path, gray=True)
    return x, Form(form.scale, form.dtype, png)


def from_array(values: np.ndarray, space: Space, path: Path | str, gray: bool = False) -> tuple[np.ndarray, Form]:
    """Integer gray values of an array, and the form they were stored in.

    Args:
        values: `[N, *space.shape]`.
        space: The space of the run's examples.
        path: The file, for messages.
        gray: Whether uint8 values are gray values up to 255.

    Returns:
        Integers `[N, *space.shape]`, and their form.

    Raises:
        Refusal: If the values would not be restored exactly.
    """
    levels = space.bins
    assert levels is not None
    if values.ndim != len(space.shape) + 1 or values.shape[1:] != space.shape or not len(values):
        raise Refusal(
            f"{path} holds an array of shape {list(values.shape)}, but this run's examples have shape "
            f"[{', '.join(map(str, space.shape))}]; reshape it to [N, {', '.join(map(str, space.shape))}], or name "
            "another run=."
        )
    if values.dtype.kind not in "buif":
        raise Refusal(f"{path} holds {values.dtype}, expected numbers; save it as uint8.")
    lowest, highest = values.min(), values.max()  # NaN if there is one
    if not np.isfinite([lowest, highest]).all():
        raise Refusal(f"{path} holds NaN or infinite values, expected finite ones; drop those rows.")
    scale = levels - 1
    if values.dtype.kind == "f":
        scale = 1
    elif values.dtype == np.uint8 and (gray or highest > scale):
        scale = 255
    if lowest < 0 or highest > scale:
        raise Refusal(f"{path} holds values from {lowest} to {highest}, expected 0 to {scale}; rescale them first.")
    x, form = np.empty(values.shape, np.min_scalar_type(levels - 1)), Form(scale, values.dtype.str)
    for part, numbers in zip(_parts(values), _parts(x), strict=True):
        numbers[:] = np.rint(part * ((levels - 1) / scale))
        if form.restore(numbers, levels).tobytes() != part.tobytes():
            raise Refusal(
                f"{path} holds values between the {levels} gray values of this run, which cannot be restored "
                f"exactly; save whole numbers from 0 to {levels - 1}, or name the run= of a model for such values."
            )
    return x, form


def write_images(folder: Path, names: Sequence[str], values: np.ndarray) -> None:
    """Write images as PNG files.

    Args:
        folder: Where to write them.
        names: The name of each file, relative to the folder.
        values: Images `[N, C, H, W]`.

    Raises:
        Refusal: If a name points outside the folder.
    """
    for name, image in zip(names, values, strict=True):
        check_name(name)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        PIL.Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name, "PNG")


def check_name(name: str) -> None:
    """Check that a file name stays inside its folder, on any operating system.

    Args:
        name: The name, relative to the folder.

    Raises:
        Refusal: If it points outside the folder.

    Example:
        >>> from vaekit.coding.originals import check_name
        >>> check_name("digits/3.png")
    """
    try:
        os.fsencode(name)
        escapes = bool({"..", ".", ""} & set(name.split("/"))) or any(each in name for each in "\\:\0")
    except UnicodeEncodeError:
        escapes = True
    if escapes:
        raise Refusal(f"The archive names a file {name!r}, which leads out of the folder. Do not trust this archive.")


def _read_pixels(file: Path, space: Space) -> np.ndarray:
    """Pixels `[C, H, W]` exactly as in the file. Raises `Refusal` unless they have the run's shape."""
    channels, height, width = space.shape
    try:
        with limited_pixels(), PIL.Image.open(file) as image:
            mode, frames, size = image.mode, getattr(image, "n_frames", 1), image.size
            fits = mode in MODES[channels] and size == (width, height) and frames == 1
            pixels = np.asarray(image) if fits else np.empty(0)  # a small file can hold very many pixels
            if mode == "1":
                pixels = pixels != 0  # Pillow's true is 255
    except Exception as error:  # Pillow raises nearly anything on a broken file
        raise Refusal(f"Cannot read {file} as an image ({error}); remove it, or save it again as PNG.") from error
    if not fits:
        found = f"{'x'.join(map(str, size))} pixels in mode {mode}" + (f", {frames} frames" if frames > 1 else "")
        raise Refusal(
            f"{file} has {found}, expected {width}x{height} in mode {' or '.join(MODES[channels])}; compression "
            "does not convert images: save converted copies in another folder, or name another run=."
        )
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def load_array(path: Path) -> np.ndarray:
    """The rows of a .npy or .npz file (there the array "x", or the only one), memory-mapped where possible.

    Args:
        path: The file.

    Raises:
        Refusal: If it cannot be read.
    """
    try:
        if path.suffix.lower() == ".npy":
            return map_npy(path)
        held = Npz(path)
        return held["x" if "x" in held or len(held) != 1 else next(iter(held))]
    except Exception as error:  # numpy raises nearly anything on a broken file
        raise Refusal(
            f"Cannot read {path} ({reason(error)}): expected numbers called x; save it again by numpy.savez."
        ) from error
