"""Tables for the terminal and for notebooks: the parts of a run, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import nn

from vaekit.capabilities import Capability
from vaekit.distributions.kl import closed_form_kl
from vaekit.media.figures import Headings
from vaekit.media.medium import medium
from vaekit.media.page import picture, table
from vaekit.plan.compatibility import name
from vaekit.schedules.schedule import at
from vaekit.spaces import Space
from vaekit.spaces import Table as TableSpace
from vaekit.spaces.column import KINDS
from vaekit.vae import VAE


def kinds(space: Space) -> dict[str, list[str]]:
    """The columns of a table by their kind.

    Args:
        space: Space of x.

    Returns:
        Names of columns; the column of labels counts as one kind. Empty if the data are not a table.
    """
    if not isinstance(space, TableSpace):
        return {}
    found = {kind: [column.name for column in space.columns if column.kind == kind] for kind in KINDS}
    found["with missing cells"] = [column.name for column in space.columns if column.nullable]
    if space.label is not None:
        found["label"] = [space.label.name]
    return {kind: names for kind, names in found.items() if names}


ARROWS = ("posterior", "prior")
SAMPLES = 16  # in a picture


class Row(NamedTuple):
    """A part of a run.

    Args:
        part: Its role.
        choice: Name of the choice.
        over: Its space or size.
        parameters: Number of weights that are trained.
    """

    part: str
    choice: str
    over: str
    parameters: int


def parts(vae: VAE, objective: Any, penalties: Any, data: str) -> list[Row]:
    """Data, encoder, posterior and prior of each level, likelihood, objective and penalties.

    Args:
        vae: The model.
        objective: Its objective.
        penalties: Its penalties by name.
        data: Name of the data set.
    """

    samples = {1: "1 sample", None: "every class"}.get(objective.num_samples, f"{objective.num_samples} samples")
    return [
        Row("data", data, vae.space.description, 0),
        *(
            Row(f"  {kind}", f"{len(names)} column{'s' * (len(names) > 1)}", ", ".join(names), 0)
            for kind, names in kinds(vae.space).items()
        ),
        *model_parts(vae),
        _row("objective", objective, f"{samples} of z, {kl_kind(vae)}"),
        *(_row("penalty", penalty, f"weight {at(penalty.weight, None):g}") for penalty in penalties.values()),
    ]


def model_parts(vae: VAE) -> list[Row]:
    """Condition, encoder, posterior and prior of each level, and likelihood.

    Args:
        vae: The model.
    """
    out_shape: Any = vae.encoder.out_shape
    levels: Any = vae.latents.levels
    return [
        *([] if vae.condition is None else [_row("condition", vae.condition, f"{vae.condition.size} numbers")]),
        _row("encoder", vae.encoder, f"{torch.Size(out_shape).numel()} features"),
        *(_row(arrow, getattr(level, arrow), level.space.description) for level in levels for arrow in ARROWS),
        _row("likelihood", vae.likelihood, vae.space.description),
        Row("  network", name(type(vae.likelihood.network)), "", 0),
    ]


def _row(part: str, module: Any, over: str = "") -> Row:
    count = sum(p.numel() for p in module.parameters()) if isinstance(module, nn.Module) else 0
    return Row(part, name(type(module)), over, count)


def page(vae: VAE) -> str:
    """A VAE in HTML: a table of its parts, and a picture of samples where its data have one.

    Args:
        vae: The model.
    """
    total = Row("all", "", "", sum(p.numel() for p in vae.parameters()))
    lines = [Row._fields, *((*words, f"{count:,}" if count else "") for *words, count in [*model_parts(vae), total])]
    shown = medium(vae.space)
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        if Capability.AUTOREGRESSIVE not in vae.likelihood.gives:  # whose mean is slow
            x = vae.sample(SAMPLES, draw=shown.drawn)
            shown.write(Path(folder, "samples"), x, SAMPLES // 2, Headings("Samples"))
        return table(lines) + "".join(map(picture, Path(folder).glob("*.png")))


def composition(vae: VAE, objective: Any, penalties: Any, data: str) -> Table:
    """The table of `parts`, with the number of all weights of the VAE.

    Args:
        vae: The model.
        objective: Its objective.
        penalties: Its penalties by name.
        data: Name of the data set.
    """
    table = Table(title="vaekit", title_justify="left")
    for column in ("part", "choice", "over"):
        table.add_column(column)
    table.add_column("parameters", justify="right")
    for *words, count in parts(vae, objective, penalties, data):
        table.add_row(*words, f"{count:,}" if count else "")
    table.add_row("", "", "", f"{sum(p.numel() for p in vae.parameters()):,}", style="bold")
    return table


def results(metrics: Mapping[str, float]) -> Table:
    """The table of test metrics, and of what a differentially private training has spent.

    Args:
        metrics: Values by name.
    """
    table = Table(title="Test", title_justify="left")
    table.add_column("metric")
    table.add_column("", justify="right")
    for metric, value in metrics.items():
        if metric.startswith(("test/", "privacy/")):
            table.add_row(metric, number(value))
    return table


def number(value: float) -> str:
    """A value as tables print it: four digits, or a whole number from 1,000 on, without an exponent.

    Args:
        value: Any number, e.g. nats.

    Example:
        >>> from vaekit.summary import number
        >>> number(14220.3), number(0.98765)
        ('14,220', '0.9877')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def kl_kind(vae: VAE) -> str:
    """Whether the rate has a closed form at every level.

    Args:
        vae: The model.

    Returns:
        Text for the table.
    """
    with torch.no_grad():
        features = vae.encoder(torch.zeros(1, *vae.space.shape, device=vae.device))
        condition = None if vae.condition is None or vae.latents.infers else vae.condition.draw(1)
        steps = vae.infer(features, condition=condition).steps
    closed = all(step.q is not None and closed_form_kl(step.q, step.p) is not None for step in steps)
    return "KL in closed form" if closed else "KL by sampling"
