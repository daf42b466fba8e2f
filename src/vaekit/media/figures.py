"""Pictures for people: grids, maps and curves, written as PNG."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vaekit.spaces import Maps


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save_lines(path: Path, x: Tensor, columns: int) -> None:
    """Draw vectors x `[N, *shape]`, a panel with a line each."""
    pyplot = _pyplot()
    rows = math.ceil(len(x) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(1.6 * columns, 1.2 * rows), sharex=True, sharey=True)
    for axis, row in zip(np.ravel(axes), x.flatten(1).cpu(), strict=False):
        axis.plot(row, linewidth=1)
    figure.supxlabel("position in the row")
    figure.supylabel("value")
    _save(figure, path)


def save_grid(path: Path, x: Tensor, space: Maps, columns: int) -> None:
    """Draw images x `[N, *space.shape]` as a grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _picture(x, space, columns).save(path)


def _picture(x: Tensor, space: Maps, columns: int) -> Any:
    """A grid of images `[N, C, H, W]`, of a size that can be looked at, as Pillow has it."""
    from PIL import Image as Picture
    from torchvision.utils import make_grid

    zoom = max(1, min(56 // min(space.shape[1:]), 512 // max(space.shape[1:])))
    x = x.float().clamp(0, 1).cpu().repeat_interleave(zoom, -1).repeat_interleave(zoom, -2)
    if space.shape[0] not in (1, 3):
        x = x.mean(1, keepdim=True)
    grid = make_grid(x, nrow=columns, padding=2, pad_value=1.0)
    return Picture.fromarray((grid * 255).round().byte().permute(1, 2, 0).numpy())


def save_walk(path: Path, x: Tensor, space: Maps) -> None:
    """Play x `[N, steps, C, H, W]`, N walks at once, there and back without end: a GIF."""
    columns = math.ceil(math.sqrt(len(x)))
    there = [_picture(each, space, columns) for each in x.transpose(0, 1)]
    there[0].save(path, save_all=True, append_images=there[1:] + there[-2:0:-1], duration=100, loop=0)


def save_panels(path: Path, panels: Mapping[str, Callable[[Any], None]]) -> None:
    """Draw plots side by side: by its title, what draws each into the matplotlib axes that it is given."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.8), squeeze=False)
    for axis, (title, draw) in zip(axes.flat, panels.items(), strict=True):
        draw(axis)
        axis.set_title(_plain(title))
    _save(figure, path)


def save_latent_map(
    path: Path,
    z: Tensor,
    label: Tensor | None,
    classes: Mapping[str, int] = MappingProxyType({}),
    axes: tuple[str, str] = ("first principal component", "second"),
) -> None:
    """Scatter z `[N, D]` on its first two principal components, coloured by label `[N]` or the first of `[N, F]`.

    classes: the label of each class that has a name, which the legend shows.
    axes: what they are called, where z has two dimensions that are something else.
    """
    centred = z.float().cpu() - z.float().cpu().mean(0)
    if centred.shape[1] > 2:
        centred = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    centred = functional.pad(centred, (0, 2 - centred.shape[1]))  # of one example, or of one dimension
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(6, 5))
    if label is None:
        axis.scatter(*centred.float().T, s=6)
    else:
        _scatter_classes(axis, centred.float(), label.cpu().reshape(len(label), -1)[:, 0], classes)
    axis.set(title="Posterior means", xlabel=axes[0], ylabel=axes[1])
    _save(figure, path)


def _scatter_classes(axis: Any, x: Tensor, label: Tensor, names: Mapping[str, int]) -> None:
    """Points x `[N, 2]`, in a colour for each label `[N]`; gray where it is missing, which is -1."""
    import matplotlib

    classes = label[label != -1].unique().tolist()
    palette = matplotlib.colormaps["tab10" if len(classes) <= 10 else "tab20" if len(classes) <= 20 else "turbo"]
    colours = palette if len(classes) <= 20 else palette.resampled(len(classes))
    axis.scatter(*x[label == -1].T, color="lightgray", s=6)
    for number, value in enumerate(classes):
        axis.scatter(*x[label == value].T, color=colours(number), s=6, label=f"{value:g}")
    if classes:
        columns = -(-len(classes) // 20)
        legend = axis.legend(title="label", loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3, ncols=columns)
        name_of = {number: _plain(name) for name, number in names.items()}
        for text, value in zip(legend.get_texts(), classes, strict=True):  # points whose label began with _ have none
            text.set_text(name_of.get(value, text.get_text()))


def save_heat_maps(path: Path, maps: Mapping[str, np.ndarray], columns: Sequence[str]) -> None:
    """Draw matrices `[D, F]` of values in [0, 1] side by side: a row per latent variable, a named column per factor."""
    pyplot = _pyplot()
    height = 1.5 + 0.3 * max(map(len, maps.values()))
    figure, axes = pyplot.subplots(1, len(maps), figsize=(4.5 * len(maps), height), squeeze=False)
    for axis, (title, values) in zip(axes.flat, maps.items(), strict=True):
        shown = axis.imshow(values, vmin=0, vmax=1, aspect="auto", cmap="Blues")
        axis.set(title=title, ylabel="latent variable", yticks=range(len(values)))
        axis.set_xticks(range(len(columns)), [*map(_plain, columns)], rotation=30, ha="right")
        figure.colorbar(shown)
    _save(figure, path)


def save_curves(path: Path, metrics_csv: Path) -> None:
    """Draw loss, rate and distortion over the steps of metrics.csv, training and validation."""
    with metrics_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.5))
    for axis, name in zip(axes, ("loss", "distortion", "rate"), strict=True):
        for split in ("train", "val"):
            points = [(int(row["step"]), float(row[key])) for row in rows if row.get(key := f"{split}/{name}")]
            if points:
                axis.plot(*zip(*points, strict=True), label=split)
        axis.set(title=name, xlabel="step", ylabel="nats per example")
        if axis.lines:
            axis.legend()
    _save(figure, path)


def save_rates(path: Path, rates: Tensor) -> None:
    """Draw the rate of each latent level `[L]`, top first, in nats."""

    def bars(axis: Any) -> None:
        axis.bar(range(len(rates)), rates.tolist())
        axis.set(xlabel="level, 0 at the top", ylabel="nats per example")

    save_panels(path, {"rate": bars})


def _plain(name: str) -> str:
    """A name out of a file as matplotlib draws it letter by letter: what lies between two $ is a formula to it."""
    return name.replace("$", r"\$")


def _save(figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    _pyplot().close(figure)
