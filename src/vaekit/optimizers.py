"""How the learning rate falls: each decay turns an optimiser into the scheduler entry that Lightning reads."""

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from vaekit.refusal import Refusal


def warmup(optimizer: Optimizer, steps: int) -> dict[str, Any]:
    """From (nearly) nothing to the full rate in a straight line over `steps` optimiser steps."""
    return {"scheduler": lr_scheduler.LinearLR(optimizer, 1 / (steps + 1), total_iters=steps), "interval": "step"}


def cosine(optimizer: Optimizer, total_steps: float, steps_per_epoch: int, final: float = 0.0) -> dict[str, Any]:
    """Half a cosine from the full rate to `final` over the whole training (Loshchilov and Hutter 2017)."""
    if total_steps == float("inf"):
        raise Refusal("optimizer/decay=cosine must know when training ends; set trainer.max_epochs=100.")
    return {"scheduler": lr_scheduler.CosineAnnealingLR(optimizer, int(total_steps), final), "interval": "step"}


def step(
    optimizer: Optimizer, total_steps: float, steps_per_epoch: int, epochs: Sequence[float], factor: float = 0.1
) -> dict[str, Any]:
    """Multiply the rate by `factor` after each of the given `epochs`."""
    milestones = [round(epoch * steps_per_epoch) for epoch in epochs]
    return {"scheduler": lr_scheduler.MultiStepLR(optimizer, milestones, factor), "interval": "step"}


def plateau(
    optimizer: Optimizer, total_steps: float, steps_per_epoch: int, factor: float = 0.5, patience: int = 10
) -> dict[str, Any]:
    """Multiply the rate by `factor` when val/loss has not improved for `patience` epochs."""
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
    return {"scheduler": scheduler, "interval": "epoch", "monitor": "val/loss"}
