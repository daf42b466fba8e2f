"""Plots, written as PNG: latent maps, curves, bars and heat maps."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vaekit.media.figures import plain, pyplot, save

QUALITATIVE = ((10, "tab10"), (20, "tab20"))  # color maps by their number of distinct colors


def save_panels(
    path: Path,
    panels: Mapping[str, Callable[[Any], None]],
    title: str = "",
    columns: int = 0,
    one_scale: bool = False,
) -> None:
    """Draw plots side by side.

    Args:
        path: The PNG file.
        panels: By title, a function that draws into the matplotlib axes which it gets.
        title: Above all of them.
        columns: Plots in a row; 0 for all in one row.
        one_scale: Whether all have the same y axis, for panels that are compared with each other.
    """
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    size = (4.5 * columns, 3.8 * rows)
    figure, axes = pyplot().subplots(rows, columns, figsize=size, squeeze=False, sharey=one_scale)
    for axis, (name, draw) in zip(axes.flat, panels.items(), strict=False):
        draw(axis)
        axis.set_title(plain(name))
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    if title:
        figure.suptitle(plain(title))
    save(figure, path)


def save_latent_map(
    path: Path,
    z: Tensor,
    label: Tensor | None,
    classes: Mapping[str, int] = MappingProxyType({}),
    axes: tuple[str, str] = ("first principal component", "second principal component"),
    of: str = "examples",
) -> None:
    """Scatter z on its first two principal components, colored by label.

    Args:
        path: The PNG file.
        z: `[N, D]`.
        label: `[N]`, or `[N, F]`, of which the first counts; -1 is a missing one, drawn in gray.
        classes: The label of each class that has a name, which the legend shows.
        axes: Labels of the axes; others for z of two dimensions that are not principal components.
        of: What z are the means of, for the title.
    """
    centered = z.float().cpu() - z.float().cpu().mean(0)
    if centered.shape[1] > 2:
        centered = centered @ torch.linalg.svd(centered, full_matrices=False).Vh[:2].T
    centered = functional.pad(centered, (0, 2 - centered.shape[1]))  # of one example, or of one dimension
    figure, axis = pyplot().subplots(figsize=(6, 5))
    if label is None:
        axis.scatter(*centered.float().T, s=6)
    else:
        _scatter_classes(axis, centered.float(), label.cpu().reshape(len(label), -1)[:, 0], classes)
    axis.set(title=f"Posterior means of {len(z):,} {of}", xlabel=axes[0], ylabel=axes[1])
    save(figure, path)


def colors_of(count: int, ordered: bool = False) -> list[Any]:
    """Colors that differ: of a qualitative color map that has enough of them, else along a continuous one.

    Args:
        count: Number of colors.
        ordered: Whether they stand for steps of one quantity, so that neighbors look similar.
    """
    import matplotlib

    palette = None if ordered else next((name for most, name in QUALITATIVE if count <= most), None)
    continuous = "viridis" if ordered else "turbo"
    colors = matplotlib.colormaps[palette] if palette else matplotlib.colormaps[continuous].resampled(count)
    return [colors(number) for number in range(count)]


def _scatter_classes(axis: Any, x: Tensor, label: Tensor, names: Mapping[str, int]) -> None:
    """Points x `[N, 2]`, in a color for each label `[N]`; gray where it is missing, which is -1."""
    classes = label[label != -1].unique().tolist()
    axis.scatter(*x[label == -1].T, color="lightgray", s=6)
    for value, color in zip(classes, colors_of(len(classes)), strict=True):
        axis.scatter(*x[label == value].T, color=color, s=6, label=f"{value:g}")
    if classes:
        columns = -(-len(classes) // 20)
        legend = axis.legend(title="label", loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3, ncols=columns)
        name_of = {number: plain(name) for name, number in names.items()}
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
    figure, axes = pyplot().subplots(1, len(maps), figsize=(4.5 * len(maps), height), squeeze=False)
    for axis, (title, values) in zip(axes.flat, maps.items(), strict=True):
        shown = axis.imshow(values, vmin=0, vmax=1, aspect="auto", cmap="Blues")
        axis.set(title=title, xlabel="factor", ylabel="latent variable", yticks=range(len(values)))
        axis.set_xticks(range(len(columns)), [*map(plain, columns)], rotation=30, ha="right")
        figure.colorbar(shown)
    save(figure, path)


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
                axis.axvline(best[0], color="gray", linestyle=":", label="lowest validation loss")
            axis.set(xlabel="optimizer step", ylabel="nats per example")
            if axis.lines:
                axis.legend()

        return draw

    def coefficients(axis: Any) -> None:
        for name, found in moving.items():
            axis.plot(*zip(*found, strict=True), label=name.removeprefix("schedule/"))
        axis.set(xlabel="optimizer step", ylabel="coefficient")
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
