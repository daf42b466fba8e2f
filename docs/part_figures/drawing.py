"""What the figures of all groups share."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaekit.hydra_job import compose
from vaekit.plan.plan import Choice, read_choice


class Drawing(NamedTuple):
    """A figure: by title, functions that draw into matplotlib axes, and the caption below."""

    panels: dict[str, Callable[[Any], None]]
    caption: str


def chosen(group: str, name: str) -> Choice:
    """A part with the settings of its configuration."""
    return read_choice(compose("train", [f"{group}={name}"])[group], group)


def fit(parameters: Iterable[Any], loss: Callable[[], Tensor], steps: int, lr: float) -> None:
    """Minimize a loss of parameters, or groups of them, by Adam, with a learning rate that falls to 0."""
    optimizer = torch.optim.Adam(parameters, lr)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        decay.step()
