"""Compares several runs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from vaekit import runs
from vaekit.media.plots import save_panels
from vaekit.refusal import Refusal
from vaekit.summary import number
from vaekit.tasks.shared.context import Context

GROUPS = "data network posterior prior latents likelihood objective penalty optimizer evaluation"
WHAT = re.compile(  # settings that describe a run, under the names where they are set
    rf"(?!data\.(module|source)\.|network\.(decoder|encoder\.(?!_target_))|.*\._(?!target_))"
    rf"(({GROUPS.replace(' ', '|')})\..+|seed|trainer\.(max_epochs|precision))"
)
Folder = str | PathLike[str]
BARS = ("test/nll", "test/rate", "test/distortion")


def compare(context: Context, others: Folder | Sequence[Folder] = ()) -> dict[str, dict[str, Any]]:
    """Write the settings in which runs differ, and their metrics: comparison.csv and comparison.png.

    The figure shows test metrics, and the loss over the steps in metrics.csv, of validation or else of training. The
    terminal shows test metrics.

    Args:
        context: The first run.
        others: Folders of the other runs.

    Returns:
        Settings and metrics by the name of the run.

    Raises:
        Refusal: Without another run, for a folder that is not one, and for one that is given twice.
    """
    folders = [context.run, *map(runs.find, [others] if isinstance(others, str | PathLike) else others)]
    resolved = [folder.resolve() for folder in folders]
    if len(folders) < 2 or len(set(resolved)) < len(folders):
        raise Refusal(
            f"Got task.others={others}, expected other runs than {context.run}; use task.others=[outputs/...]."
        )
    names = dict(zip(_short(resolved), folders, strict=True))
    settings = {name: dict(chosen(runs.read_whole_config(folder))) for name, folder in names.items()}
    known = dict.fromkeys(key for each in settings.values() for key in each)
    differing = [key for key in known if len({str(each.get(key)) for each in settings.values()}) > 1]
    found = {
        name: {key: settings[name].get(key) for key in differing} | runs.read_metrics(folder)
        for name, folder in names.items()
    }
    rows = list(dict.fromkeys(key for each in found.values() for key in each))
    written = ([name, *map(each.get, rows)] for name, each in found.items())
    context.write_csv("comparison.csv", [["run", *rows], *written])
    draw(context.out / "comparison.png", found, names)
    table = Table(Column("", no_wrap=True), *names, title="Runs", title_justify="left")
    for row in (row for row in rows if row in differing or row.startswith("test/")):
        table.add_row(row, *(Text(_spell(each.get(row))) for each in found.values()))
    Console().print(table)
    return found


def chosen(config: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The settings that describe a run.

    Args:
        config: Configuration of a run, or a value in it.
        key: Its path.

    Returns:
        Dotted key and value of each. A part counts by its name alone.
    """
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield from chosen(value, f"{key}.{name}" if key else str(name))
    elif WHAT.fullmatch(key):
        if key.endswith("._target_"):  # vaekit.priors.vamp.Vamp is prior=vamp; optimizers share a module
            config = str(config).split(".")[-1 if key.startswith("optimizer") else -2]
        yield key.removesuffix("._target_"), config


def learning_curve(folder: Path) -> tuple[str, list[tuple[int, float]]]:
    """The loss over the steps in the metrics.csv of a run.

    Args:
        folder: Folder of the run.

    Returns:
        Name of the loss, of validation or else of training, and pairs of step and loss; empty without such a file.
    """
    if not (folder / "metrics.csv").is_file():
        return "", []
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("val/loss", "train/loss"):
        if points := [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]:
            return name, points
    return "", []


def draw(path: Path, found: Mapping[str, Mapping[str, Any]], folders: Mapping[str, Path]) -> None:
    """Draw test metrics and learning curves of runs.

    Args:
        path: The PNG.
        found: Settings and metrics by the name of the run.
        folders: Folder of each run.
    """

    def bars(metric: str) -> Any:
        values = {name: each[metric] for name, each in found.items() if metric in each}

        def plot(axis: Any) -> None:
            axis.barh(range(len(values)), list(values.values()))
            axis.set(xlabel="nats per example", ylabel="run")
            axis.set_yticks(range(len(values)), values)
            axis.invert_yaxis()

        return plot

    def curves(axis: Any) -> None:
        for name, folder in folders.items():
            measure, points = learning_curve(folder)
            if points:
                axis.plot(*zip(*points, strict=True), label=f"{name}, {measure}")
        axis.set(xlabel="optimizer step", ylabel="nats per example")
        if axis.lines:
            axis.legend()

    shown = {metric: bars(metric) for metric in BARS if any(metric in each for each in found.values())}
    save_panels(path, {**shown, "learning curves": curves})


def _short(folders: Sequence[Path]) -> list[str]:
    """The shortest distinct suffixes of paths."""
    for count in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-count:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def _spell(value: Any) -> str:
    return number(value) if isinstance(value, float) else "" if value is None else str(value)
