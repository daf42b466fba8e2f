"""Figures of schedules: the coefficient over time."""

from typing import Any

import torch
from hydra.utils import instantiate

from part_figures.drawing import Drawing
from vaekit.configs import options


def schedule(name: str) -> Drawing:
    part = instantiate({**options("schedule")[name], "value": 1.0})
    epochs = torch.linspace(0, 50, 501).tolist()

    def draw(axis: Any) -> None:
        axis.plot(epochs, [part(epoch) for epoch in epochs])
        axis.set(xlabel="epoch", ylabel="coefficient", ylim=(-0.05, 1.1))

    return Drawing({"": draw}, "The coefficient in training with `value=1` and the default settings.")
