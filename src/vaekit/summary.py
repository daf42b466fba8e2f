"""What was composed, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rich.table import Table
from torch import nn

from vaekit.compatibility import name
from vaekit.distributions.kl import closed_form_kl
from vaekit.schedules.schedule import at
from vaekit.spaces import Image, Real
from vaekit.vae import VAE


def describe_space(space: Real) -> str:
    """E.g. "Image 1x28x28, binary"."""
    kind = f"{type(space).__name__} {'x'.join(map(str, space.shape))}, {space.values}"
    return f"{kind}, {space.levels} levels" if isinstance(space, Image) and space.values == "discrete" else kind


def composition(vae: VAE, objective: Any, penalties: Any, data: str) -> Table:
    """A row per part: role, choice, space or size, parameters."""
    table = Table(title="vaekit", title_justify="left")
    for column in ("part", "choice", "over"):
        table.add_column(column)
    table.add_column("parameters", justify="right")

    def row(part: str, module: Any, over: str = "") -> None:
        count = sum(p.numel() for p in module.parameters()) if isinstance(module, nn.Module) else 0
        table.add_row(part, name(type(module)), over, f"{count:,}" if count else "")

    table.add_row("data", data, describe_space(vae.space), "")
    out_shape: Any = vae.encoder.out_shape
    row("encoder", vae.encoder, f"{out_shape[0]} features")
    levels: Any = vae.latents.levels
    for level in levels:
        row("posterior", level.posterior, describe_space(level.posterior.space))
        row("prior", level.prior, describe_space(level.prior.space))
    row("likelihood", vae.likelihood, describe_space(vae.space))
    table.add_row("  network", name(type(vae.likelihood.network)), "", "")
    samples = "1 sample" if objective.num_samples == 1 else f"{objective.num_samples} samples"
    row("objective", objective, f"{samples} of z, {kl_kind(vae)}")
    for penalty in penalties.values():
        row("penalty", penalty, f"weight {at(penalty.weight, None):g}")
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
        steps = vae.infer(features).steps
    closed = all(step.q is not None and closed_form_kl(step.q, step.p) is not None for step in steps)
    return "KL in closed form" if closed else "KL by sampling"
