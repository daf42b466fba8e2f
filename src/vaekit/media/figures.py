"""Examples as grids of panels with headings, written as PNG, or as GIF."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from vaekit.spaces import Maps

DPI = 110
PAD, CAPTION = 2, 20  # pixels between panels, and of a caption below a panel


@dataclass(frozen=True)
class Headings:
    """The text of a grid of panels.

    Args:
        title: Above the grid.
        columns: Heading of each column; fewer than the grid has are repeated from left to right.
        rows: Name of each row, from the top.
        cells: Caption below each panel, row by row.
        xlabel: What the headings of columns are, with their unit.
        ylabel: What the names of rows are, with their unit.

    Example:
        >>> Headings("Reconstructions", columns=("original", "reconstruction")).of_columns(4)
        ['original', 'reconstruction', 'original', 'reconstruction']
    """

    title: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[str] = ()
    cells: Sequence[str] = ()
    xlabel: str = ""
    ylabel: str = ""

    def of_columns(self, count: int) -> list[str]:
        """Headings of `count` columns; none where no column has one."""
        return [self.columns[number % len(self.columns)] for number in range(count)] if self.columns else []


def pyplot() -> Any:
    """matplotlib.pyplot, which draws into files only."""
    import matplotlib

    matplotlib.use("Agg")
    return import_module("matplotlib.pyplot")


def save_lines(path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
    """Draw vectors as lines, a panel each; values between missing ones as points.

    Args:
        path: The PNG file.
        x: `[N, *shape]`; NaN is not drawn.
        columns: Panels in a row.
        headings: Texts of the grid.
    """
    rows = math.ceil(len(x) / columns)
    figure, axes = pyplot().subplots(
        rows, columns, figsize=(max(3, 1.6 * columns), 0.8 + 1.2 * rows), sharex=True, sharey=True, squeeze=False
    )
    for number, (axis, row) in enumerate(zip(axes.flat, x.flatten(1).cpu(), strict=False)):
        axis.plot(row, linewidth=1, marker=marker(row), markersize=3)
        axis.set_title(plain("".join(headings.cells[number : number + 1])), fontsize=7)
    for axis, heading in zip(axes[0], headings.of_columns(columns), strict=False):
        axis.set_title(plain(heading), fontsize=8)
    for axis, name in zip(axes[:, -1], headings.rows, strict=False):
        axis.yaxis.set_label_position("right")
        axis.set_ylabel(plain(name), fontsize=8)
    meanings = {"columns": headings.xlabel, "rows": headings.ylabel}
    lines = [headings.title, *(f"{name}: {meaning}" for name, meaning in meanings.items() if meaning)]
    figure.suptitle(plain("\n".join(lines)))
    figure.supxlabel("position in the row")
    figure.supylabel("value")
    save(figure, path)


def save_grid(path: Path, x: Tensor, space: Maps, columns: int, headings: Headings = Headings()) -> None:
    """Draw images as a grid.

    Args:
        path: The PNG file.
        x: Images `[N, *space.shape]`, values in [0, 1].
        space: Their space; three channels are red, green and blue, other numbers of channels are averaged.
        columns: Images in a row.
        headings: Texts of the grid.
    """
    save_pixels(path, pixels(x, space), columns, headings)


def pixels(x: Tensor, space: Maps) -> np.ndarray:
    """Images as bytes `[N, H, W, 3]`, enlarged to about 56 pixels where they are smaller.

    Args:
        x: `[N, *space.shape]`, values in [0, 1].
        space: Their space.
    """
    zoom = max(1, min(56 // min(space.shape[1:]), 512 // max(space.shape[1:])))
    x = x.float().clamp(0, 1).cpu().repeat_interleave(zoom, -1).repeat_interleave(zoom, -2)
    if space.shape[0] != 3:
        x = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    return (x * 255).round().byte().permute(0, 2, 3, 1).numpy()


def heat(x: Tensor, space: Maps) -> tuple[np.ndarray, Any]:
    """Maps of values from 0 as colors.

    The brightest color is the value that one pixel in a thousand exceeds.

    Args:
        x: `[N, *space.shape]`; channels are averaged.
        space: The space of the images that the maps are of.

    Returns:
        Bytes `[N, H, W, 3]`, and the color scale for `save_pixels`.
    """
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    values = x.float().cpu().mean(1, keepdim=True)
    most = max(float(np.quantile(values.numpy(), 0.999)), 1e-12)
    scale = ScalarMappable(Normalize(0, most), matplotlib.colormaps["inferno"])
    gray = pixels((values / most).expand(-1, *space.shape[:1], -1, -1), space)[..., 0]
    return scale.cmap(gray, bytes=True)[..., :3], scale


def _tiled(pictures: np.ndarray, columns: int, pad: int, below: int) -> np.ndarray:
    """Pictures `[N, H, W, 3]` as one, `pad` white pixels around each and `below` more under it."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    whole = np.full((rows * (height + pad + below) + pad, columns * (width + pad) + pad, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + pad + below) + pad, number % columns * (width + pad) + pad
        whole[top : top + height, left : left + width] = picture
    return whole


def save_pixels(
    path: Path,
    pictures: np.ndarray,
    columns: int,
    headings: Headings = Headings(),
    pad: int = PAD,
    scale: Any = None,
    unit: str = "",
    key: Mapping[str, tuple[int, int, int]] = MappingProxyType({}),
) -> None:
    """Draw pictures as a grid, pixel for pixel, with headings around it.

    Args:
        path: The PNG file.
        pictures: Bytes `[N, H, W, 3]`.
        columns: Pictures in a row.
        headings: Texts of the grid.
        pad: White pixels around each picture.
        scale: Color scale (`matplotlib.cm.ScalarMappable`) that is drawn at the right.
        unit: What the colors of that scale mean.
        key: Colors (red, green, blue as bytes) by their meaning, in a legend at the right.
    """
    from matplotlib.patches import Patch
    from matplotlib.transforms import Bbox

    columns, below = min(columns, len(pictures)), CAPTION if any(headings.cells) else 0
    grid, (_, height, wide, _) = _tiled(pictures, columns, pad, below), pictures.shape
    figure = pyplot().figure(figsize=(grid.shape[1] / DPI, grid.shape[0] / DPI), dpi=DPI)
    size = max(7, wide // 16)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(grid, interpolation="nearest", aspect="auto")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=size)
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    names, above = [*map(plain, headings.rows)], [*map(plain, headings.of_columns(columns))]
    crowded = max(map(len, above), default=0) * size > 1.2 * wide
    axis.set_xticks(
        [pad + wide / 2 + number * (wide + pad) for number in range(len(above))],
        above,
        **(dict(rotation=30, ha="left", rotation_mode="anchor") if crowded else {}),
    )
    axis.set_yticks([pad + height / 2 + number * (height + pad + below) for number in range(len(names))], names)
    title = textwrap.fill(plain(headings.title), max(40, grid.shape[1] // (size + 2)))  # about as wide as the grid
    axis.set_title(title, loc="left", fontsize=size + 2)
    axis.set_xlabel(plain(headings.xlabel), fontsize=size, loc="left")
    axis.set_ylabel(plain(headings.ylabel), fontsize=size)
    for number, caption in enumerate(headings.cells[: len(pictures)]):
        left, top = number % columns * (wide + pad), (number // columns + 1) * (height + pad + below) - below
        axis.text(left + pad + wide / 2, top, plain(caption), fontsize=size - 1, ha="center", va="top")
    if scale is not None:
        bar = figure.add_axes((1 + 12 / grid.shape[1], 0, 12 / grid.shape[1], 1))
        figure.colorbar(scale, cax=bar, label=unit)
    if key:
        patches = [Patch(color=f"#{bytes(color).hex()}", label=plain(meaning)) for meaning, color in key.items()]
        axis.legend(handles=patches, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=size)
    figure.canvas.draw()
    box = figure.get_tightbbox()
    margin = 0 if headings == Headings() else 4
    low, high = np.floor((box.min * DPI).round(3)) - margin, np.ceil((box.max * DPI).round(3)) + margin
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, bbox_inches=Bbox(np.stack([low, high]) / DPI))  # an integer zoom keeps pixels sharp
    pyplot().close(figure)


def save_animation(path: Path, x: Tensor, space: Maps) -> None:
    """Play paths side by side, forwards and backwards in a loop: a GIF.

    Args:
        path: The GIF file.
        x: Images `[N, steps, *space.shape]`.
        space: Their space.
    """
    from PIL import Image as Picture

    columns = math.ceil(math.sqrt(len(x)))
    frames = [Picture.fromarray(_tiled(pixels(each, space), columns, PAD, 0)) for each in x.transpose(0, 1)]
    frames[0].save(path, save_all=True, append_images=frames[1:] + frames[-2:0:-1], duration=100, loop=0)


def marker(line: Tensor) -> str | None:
    """The marker of a line: points if values are missing, because no line reaches a value between two gaps.

    Args:
        line: `[T]`, NaN where missing.
    """
    return "." if line.isnan().any() else None


def plain(name: str) -> str:
    """A name that matplotlib does not parse as a formula, as it does text between two $.

    Args:
        name: Any text.
    """
    return name.replace("$", r"\$")


def save(figure: Any, path: Path) -> None:
    """Write a figure and close it.

    Args:
        figure: A figure of matplotlib.
        path: The PNG file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)
