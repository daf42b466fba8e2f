"""Learning-rate schedules: a linear warm-up times a decay.

Each function returns the entries that Lightning reads for a scheduler.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from vaekit.refusal import Refusal


def _by_step(optimizer: Optimizer, warmup: int, factor: Callable[[int], float]) -> list[dict[str, Any]]:
    # a checkpoint stores the step, not the factor, so that a run can be resumed with more epochs
    rate = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup + 1)) * factor(step))
    return [{"scheduler": rate, "interval": "step"}]


def constant(optimizer: Optimizer, warmup: int, total_steps: float, steps_per_epoch: int) -> list[dict[str, Any]]:
    """The full rate until the end.

    Args:
        optimizer: The optimizer.
        warmup: Steps of the linear warm-up.
        total_steps: Steps of the training; infinite if it has no end.
        steps_per_epoch: Steps of an epoch.
    """
    return _by_step(optimizer, warmup, lambda step: 1.0) if warmup else []


def cosine(
    optimizer: Optimizer, warmup: int, total_steps: float, steps_per_epoch: int, final: float = 0.0
) -> list[dict[str, Any]]:
    """Half a cosine from the full rate to a fraction of it, over the whole training (Loshchilov and Hutter 2017).

    Args:
        optimizer: The optimizer.
        warmup: Steps of the linear warm-up.
        total_steps: Steps of the training; must be finite.
        steps_per_epoch: Steps of an epoch.
        final: Fraction of the rate at the end.

    Raises:
        Refusal: If the training has no end.
    """
    if total_steps == math.inf:
        raise Refusal("optimizer/decay=cosine requires a training of known length; use trainer.max_epochs=100.")

    def factor(step: int) -> float:
        return final + (1 - final) * (1 + math.cos(math.pi * min(step / total_steps, 1.0))) / 2

    return _by_step(optimizer, warmup, factor)


def step(
    optimizer: Optimizer,
    warmup: int,
    total_steps: float,
    steps_per_epoch: int,
    epochs: Sequence[float],
    factor: float = 0.1,
) -> list[dict[str, Any]]:
    """Multiply the rate by a factor after each of some given epochs.

    Args:
        optimizer: The optimizer.
        warmup: Steps of the linear warm-up.
        total_steps: Steps of the training.
        steps_per_epoch: Steps of an epoch.
        epochs: Epochs after which the rate changes.
        factor: By which it is multiplied.
    """
    milestones = [round(epoch * steps_per_epoch) for epoch in epochs]
    return _by_step(optimizer, warmup, lambda step: factor ** sum(step >= milestone for milestone in milestones))


def plateau(
    optimizer: Optimizer,
    warmup: int,
    total_steps: float,
    steps_per_epoch: int,
    factor: float = 0.5,
    patience: int = 10,
) -> list[dict[str, Any]]:
    """Multiply the rate by a factor when val/loss stops improving.

    Args:
        optimizer: The optimizer.
        warmup: Steps of the linear warm-up.
        total_steps: Steps of the training.
        steps_per_epoch: Steps of an epoch.
        factor: By which the rate is multiplied.
        patience: Validations without improvement before that.
    """
    rise = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup)
    # not stepped by Lightning, which does it after the checkpoint of the epoch: a resumed run would miss it
    fall = {"scheduler": lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)}
    return [{"scheduler": rise, "interval": "step"}, fall | {"reduce_on_plateau": False}]
