"""What was composed, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import nn

from vaekit.distributions.kl import closed_form_kl
from vaekit.plan.compatibility import name
from vaekit.schedules.schedule import at
from vaekit.spaces import Codes, Space
from vaekit.spaces import Table as TableSpace
from vaekit.spaces.column import KINDS
from vaekit.vae import VAE


def describe_space(space: Space) -> str:
    """E.g. "Image 1x28x28, binary", "Codes 1x7x7, each of 512"."""
    if isinstance(space, Codes):
        return f"Codes {'x'.join(map(str, space.positions))}, each of {space.atoms}"
    if isinstance(space, TableSpace):
        return f"Table of {len(space.columns)} columns, {space.size} numbers"
    kind = f"{type(space).__name__} {'x'.join(map(str, space.shape))}, {space.values}"
    return f"{kind}, {space.levels} levels" if space.values == "discrete" and space.levels else kind


def kinds(space: Space) -> dict[str, list[str]]:
    """The columns of a table by their kind, that of the label as one of its own; none of other data."""
    columns = space.columns if isinstance(space, TableSpace) else ()
    found = {kind: [column.name for column in columns if column.kind == kind] for kind in KINDS}
    found["with missing cells"] = [column.name for column in columns if column.nullable]
    if isinstance(space, TableSpace) and space.label is not None:
        found["label"] = [space.label.name]
    return {kind: names for kind, names in found.items() if names}


ARROWS = ("posterior", "prior")


class Row(NamedTuple):
    """One part of a run: its role, what was chosen, the space or size, and how many numbers it learns."""

    part: str
    choice: str
    over: str
    parameters: int


def parts(vae: VAE, objective: Any, penalties: Any, data: str) -> list[Row]:
    """Data, encoder, posterior and prior of each level, likelihood, objective and penalties."""

    def row(part: str, module: Any, over: str = "") -> Row:
        count = sum(p.numel() for p in module.parameters()) if isinstance(module, nn.Module) else 0
        return Row(part, name(type(module)), over, count)

    out_shape: Any = vae.encoder.out_shape
    levels: Any = vae.latents.levels
    samples = {1: "1 sample", None: "every class"}.get(objective.num_samples, f"{objective.num_samples} samples")
    return [
        Row("data", data, describe_space(vae.space), 0),
        *(
            Row(f"  {kind}", f"{len(names)} column{'s' * (len(names) > 1)}", ", ".join(names), 0)
            for kind, names in kinds(vae.space).items()
        ),
        *([] if vae.condition is None else [row("condition", vae.condition, f"{vae.condition.size} numbers")]),
        row("encoder", vae.encoder, f"{torch.Size(out_shape).numel()} features"),
        *(row(arrow, getattr(level, arrow), describe_space(level.space)) for level in levels for arrow in ARROWS),
        row("likelihood", vae.likelihood, describe_space(vae.space)),
        Row("  network", name(type(vae.likelihood.network)), "", 0),
        row("objective", objective, f"{samples} of z, {kl_kind(vae)}"),
        *(row("penalty", penalty, f"weight {at(penalty.weight, None):g}") for penalty in penalties.values()),
    ]


def composition(vae: VAE, objective: Any, penalties: Any, data: str) -> Table:
    """`parts` for people, and the sum of the VAE's parameters."""
    table = Table(title="vaekit", title_justify="left")
    for column in ("part", "choice", "over"):
        table.add_column(column)
    table.add_column("parameters", justify="right")
    for *words, count in parts(vae, objective, penalties, data):
        table.add_row(*words, f"{count:,}" if count else "")
    table.add_row("", "", "", f"{sum(p.numel() for p in vae.parameters()):,}", style="bold")
    return table


def results(metrics: Mapping[str, float]) -> Table:
    """The figures of the test, a row each."""
    table = Table(title="Test", title_justify="left")
    table.add_column("metric")
    table.add_column("", justify="right")
    for metric, value in metrics.items():
        if metric.startswith("test/"):
            table.add_row(metric, f"{value:,.4g}")
    return table


def kl_kind(vae: VAE) -> str:
    """Whether the rate has a closed form at every level."""
    with torch.no_grad():
        features = vae.encoder(torch.zeros(1, *vae.space.shape, device=vae.device))
        condition = None if vae.condition is None or vae.latents.infers else vae.condition.draw(1)
        steps = vae.infer(features, condition=condition).steps
    closed = all(step.q is not None and closed_form_kl(step.q, step.p) is not None for step in steps)
    return "KL in closed form" if closed else "KL by sampling"
