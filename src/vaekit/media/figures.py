"""Figures, written as PNG: grids of panels with headings, latent maps, curves and bars."""

from __future__ import annotations

import csv
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vaekit.spaces import Maps

DPI = 110
PAD, CAPTION = 2, 20  # pixels between panels, and of a caption below a panel
QUALITATIVE = ((10, "tab10"), (20, "tab20"))  # colour maps by their number of distinct colours


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


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save_lines(path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
    """Draw vectors as lines, a panel each; values between missing ones as points.

    Args:
        path: The PNG file.
        x: `[N, *shape]`; NaN is not drawn.
        columns: Panels in a row.
        headings: Texts of the grid.
    """
    pyplot = _pyplot()
    rows = math.ceil(len(x) / columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(max(3, 1.6 * columns), 0.8 + 1.2 * rows), sharex=True, sharey=True, squeeze=False
    )
    for number, (axis, row) in enumerate(zip(axes.flat, x.flatten(1).cpu(), strict=False)):
        axis.plot(row, linewidth=1, marker=marker(row), markersize=3)
        axis.set_title(_plain("".join(headings.cells[number : number + 1])), fontsize=7)
    for axis, heading in zip(axes[0], headings.of_columns(columns), strict=False):
        axis.set_title(_plain(heading), fontsize=8)
    for axis, name in zip(axes[:, -1], headings.rows, strict=False):
        axis.yaxis.set_label_position("right")
        axis.set_ylabel(_plain(name), fontsize=8)
    meanings = {"columns": headings.xlabel, "rows": headings.ylabel}
    lines = [headings.title, *(f"{name}: {meaning}" for name, meaning in meanings.items() if meaning)]
    figure.suptitle(_plain("\n".join(lines)))
    figure.supxlabel("position in the row")
    figure.supylabel("value")
    _save(figure, path)


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
    """Maps of values from 0 as colours.

    The brightest colour is the value that one pixel in a thousand exceeds.

    Args:
        x: `[N, *space.shape]`; channels are averaged.
        space: The space of the images that the maps are of.

    Returns:
        Bytes `[N, H, W, 3]`, and the colour scale for `save_pixels`.
    """
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    values = x.float().cpu().mean(1, keepdim=True)
    most = max(float(np.quantile(values.numpy(), 0.999)), 1e-12)
    scale = ScalarMappable(Normalize(0, most), matplotlib.colormaps["inferno"])
    grey = pixels((values / most).expand(-1, *space.shape[:1], -1, -1), space)[..., 0]
    return scale.cmap(grey, bytes=True)[..., :3], scale


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
        scale: Colour scale (`matplotlib.cm.ScalarMappable`) that is drawn at the right.
        unit: What the colours of that scale mean.
        key: Colours (red, green, blue as bytes) by their meaning, in a legend at the right.
    """
    from matplotlib.patches import Patch
    from matplotlib.transforms import Bbox

    columns, below = min(columns, len(pictures)), CAPTION if any(headings.cells) else 0
    grid, (_, height, wide, _) = _tiled(pictures, columns, pad, below), pictures.shape
    figure = _pyplot().figure(figsize=(grid.shape[1] / DPI, grid.shape[0] / DPI), dpi=DPI)
    size = max(7, wide // 16)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(grid, interpolation="nearest", aspect="auto")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=size)
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    names, above = [*map(_plain, headings.rows)], [*map(_plain, headings.of_columns(columns))]
    crowded = max(map(len, above), default=0) * size > 1.2 * wide
    axis.set_xticks(
        [pad + wide / 2 + number * (wide + pad) for number in range(len(above))],
        above,
        **(dict(rotation=30, ha="left", rotation_mode="anchor") if crowded else {}),
    )
    axis.set_yticks([pad + height / 2 + number * (height + pad + below) for number in range(len(names))], names)
    title = textwrap.fill(_plain(headings.title), max(40, grid.shape[1] // (size + 2)))  # about as wide as the grid
    axis.set_title(title, loc="left", fontsize=size + 2)
    axis.set_xlabel(_plain(headings.xlabel), fontsize=size, loc="left")
    axis.set_ylabel(_plain(headings.ylabel), fontsize=size)
    for number, caption in enumerate(headings.cells[: len(pictures)]):
        left, top = number % columns * (wide + pad), (number // columns + 1) * (height + pad + below) - below
        axis.text(left + pad + wide / 2, top, _plain(caption), fontsize=size - 1, ha="center", va="top")
    if scale is not None:
        bar = figure.add_axes((1 + 12 / grid.shape[1], 0, 12 / grid.shape[1], 1))
        figure.colorbar(scale, cax=bar, label=unit)
    if key:
        patches = [Patch(color=f"#{bytes(colour).hex()}", label=_plain(meaning)) for meaning, colour in key.items()]
        axis.legend(handles=patches, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=size)
    figure.canvas.draw()
    box = figure.get_tightbbox()
    margin = 0 if headings == Headings() else 4
    low, high = np.floor((box.min * DPI).round(3)) - margin, np.ceil((box.max * DPI).round(3)) + margin
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, bbox_inches=Bbox(np.stack([low, high]) / DPI))  # an integer zoom keeps pixels sharp
    _pyplot().close(figure)


def save_walk(path: Path, x: Tensor, space: Maps) -> None:
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


def save_panels(path: Path, panels: Mapping[str, Callable[[Any], None]], title: str = "", columns: int = 0) -> None:
    """Draw plots side by side.

    Args:
        path: The PNG file.
        panels: By title, a function that draws into the matplotlib axes which it gets.
        title: Above all of them.
        columns: Plots in a row; 0 for all in one row.
    """
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    figure, axes = _pyplot().subplots(rows, columns, figsize=(4.5 * columns, 3.8 * rows), squeeze=False)
    for axis, (name, draw) in zip(axes.flat, panels.items(), strict=False):
        draw(axis)
        axis.set_title(_plain(name))
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    if title:
        figure.suptitle(_plain(title))
    _save(figure, path)


def save_latent_map(
    path: Path,
    z: Tensor,
    label: Tensor | None,
    classes: Mapping[str, int] = MappingProxyType({}),
    axes: tuple[str, str] = ("first principal component", "second principal component"),
    of: str = "examples",
) -> None:
    """Scatter z on its first two principal components, coloured by label.

    Args:
        path: The PNG file.
        z: `[N, D]`.
        label: `[N]`, or `[N, F]`, of which the first counts; -1 is a missing one, drawn in gray.
        classes: The label of each class that has a name, which the legend shows.
        axes: Labels of the axes; others for z of two dimensions that are not principal components.
        of: What z are the means of, for the title.
    """
    centred = z.float().cpu() - z.float().cpu().mean(0)
    if centred.shape[1] > 2:
        centred = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    centred = functional.pad(centred, (0, 2 - centred.shape[1]))  # of one example, or of one dimension
    figure, axis = _pyplot().subplots(figsize=(6, 5))
    if label is None:
        axis.scatter(*centred.float().T, s=6)
    else:
        _scatter_classes(axis, centred.float(), label.cpu().reshape(len(label), -1)[:, 0], classes)
    axis.set(title=f"Posterior means of {len(z):,} {of}", xlabel=axes[0], ylabel=axes[1])
    _save(figure, path)


def colours_of(count: int, ordered: bool = False) -> list[Any]:
    """Colours that differ: of a qualitative colour map that has enough of them, else along a continuous one.

    Args:
        count: Number of colours.
        ordered: Whether they stand for steps of one quantity, so that neighbours look similar.
    """
    import matplotlib

    palette = None if ordered else next((name for most, name in QUALITATIVE if count <= most), None)
    continuous = "viridis" if ordered else "turbo"
    colours = matplotlib.colormaps[palette] if palette else matplotlib.colormaps[continuous].resampled(count)
    return [colours(number) for number in range(count)]


def marker(line: Tensor) -> str | None:
    """The marker of a line: points if values are missing, because no line reaches a value between two gaps.

    Args:
        line: `[T]`, NaN where missing.
    """
    return "." if line.isnan().any() else None


def _scatter_classes(axis: Any, x: Tensor, label: Tensor, names: Mapping[str, int]) -> None:
    """Points x `[N, 2]`, in a colour for each label `[N]`; gray where it is missing, which is -1."""
    classes = label[label != -1].unique().tolist()
    axis.scatter(*x[label == -1].T, color="lightgray", s=6)
    for value, colour in zip(classes, colours_of(len(classes)), strict=True):
        axis.scatter(*x[label == value].T, color=colour, s=6, label=f"{value:g}")
    if classes:
        columns = -(-len(classes) // 20)
        legend = axis.legend(title="label", loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3, ncols=columns)
        name_of = {number: _plain(name) for name, number in names.items()}
        for text, value in zip(legend.get_texts(), classes, strict=True):  # matplotlib omits labels that begin with _
            text.set_text(name_of.get(value, text.get_text()))


def save_heat_maps(path: Path, maps: Mapping[str, np.ndarray], columns: Sequence[str]) -> None:
    """Draw matrices of values in [0, 1] side by side.

    Args:
        path: The PNG file.
        maps: By title, `[D, F]`: a row for each latent variable, a column for each factor.
        columns: Names of the factors.
    """
    height = 1.5 + 0.3 * max(map(len, maps.values()))
    figure, axes = _pyplot().subplots(1, len(maps), figsize=(4.5 * len(maps), height), squeeze=False)
    for axis, (title, values) in zip(axes.flat, maps.items(), strict=True):
        shown = axis.imshow(values, vmin=0, vmax=1, aspect="auto", cmap="Blues")
        axis.set(title=title, xlabel="factor", ylabel="latent variable", yticks=range(len(values)))
        axis.set_xticks(range(len(columns)), [*map(_plain, columns)], rotation=30, ha="right")
        figure.colorbar(shown)
    _save(figure, path)


def save_curves(path: Path, metrics_csv: Path) -> None:
    """Draw loss, distortion and rate over training, and coefficients that a schedule moves.

    While a coefficient moves, training losses at its values cannot be compared with validation losses at the final one.
    Then the first panel is the negative ELBO, distortion plus rate, which does not depend on it. A vertical line marks
    the step of the lowest validation loss.

    Args:
        path: The PNG file.
        metrics_csv: The run's metrics.csv.
    """
    with metrics_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))

    def points(*names: str) -> list[tuple[int, float]]:
        """Steps, and sums of the columns, of rows that have all of them."""
        return [(int(row["step"]), sum(float(row[name]) for name in names)) for row in rows if all(map(row.get, names))]

    schedules = {name: points(name) for name in rows[0] if name.startswith("schedule/")} if rows else {}
    moving = {name: found for name, found in schedules.items() if len({value for _, value in found}) > 1}
    best = min(points("val/loss"), key=lambda point: point[1], default=None)

    def curve(*names: str) -> Callable[[Any], None]:
        def draw(axis: Any) -> None:
            for split, word in (("train", "training"), ("val", "validation")):
                if found := points(*(f"{split}/{name}" for name in names)):
                    axis.plot(*zip(*found, strict=True), label=word, marker="." if len(found) < 20 else None)
            if best:
                axis.axvline(best[0], color="grey", linestyle=":", label="lowest validation loss")
            axis.set(xlabel="optimiser step", ylabel="nats per example")
            if axis.lines:
                axis.legend()

        return draw

    def coefficients(axis: Any) -> None:
        for name, found in moving.items():
            axis.plot(*zip(*found, strict=True), label=name.removeprefix("schedule/"))
        axis.set(xlabel="optimiser step", ylabel="coefficient")
        axis.legend()

    compared = bool(moving) and bool(points("train/distortion", "train/rate"))
    panels = {"distortion": curve("distortion"), "rate": curve("rate")}
    first = {"negative ELBO": curve("distortion", "rate")} if compared else {"loss": curve("loss")}
    save_panels(path, first | panels | ({"schedules": coefficients} if moving else {}), "Learning curves")


def save_bars(path: Path, title: str, values: Tensor, xlabel: str, ylabel: str) -> None:
    """Draw one bar for each value, e.g. the rate of each latent variable.

    Args:
        path: The PNG file.
        title: Above the bars.
        values: `[N]`, numbered from 0.
        xlabel: What the numbers are.
        ylabel: What the values are, with their unit.
    """

    def bars(axis: Any) -> None:
        axis.bar(range(len(values)), values.tolist())
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.xaxis.get_major_locator().set_params(integer=True)

    save_panels(path, {title: bars})


def _plain(name: str) -> str:
    """A name that matplotlib does not parse as a formula, as it does text between two $."""
    return name.replace("$", r"\$")


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    _pyplot().close(figure)
