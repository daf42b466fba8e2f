"""Figures of parts, drawn by the parts themselves while the site is built."""

import tempfile
from pathlib import Path

import torch

from part_figures import arrows, likelihoods, losses, modules, schedules
from vaekit.catalogue import Choice
from vaekit.media.plots import save_panels

GROUPS = {
    "latents": modules.latents,
    "likelihood": likelihoods.likelihood,
    "network": modules.network,
    "objective": losses.objective,
    "penalty": losses.penalty,
    "posterior": arrows.posterior,
    "prior": arrows.prior,
    "schedule": schedules.schedule,
}


def figure(choice: Choice) -> tuple[bytes, str] | str:
    """The PNG of a part and its caption, or why there is none; empty text for groups without figures."""
    if choice.group not in GROUPS:
        return ""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawing = GROUPS[choice.group](choice.name)
        if isinstance(drawing, str):
            return drawing
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "part.png")
            save_panels(path, drawing.panels, f"{choice.group}={choice.name}")
            return path.read_bytes(), drawing.caption
