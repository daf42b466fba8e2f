"""The memory layout in which convolutions are fastest on this machine."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn


class Layout(L.Callback):
    """Train convolutions with the channels of a pixel side by side, where `benchmarks/layout.py` found that faster.

    This is the case on CPUs. Prints the device, the number of threads and the layout of the run.
    """

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if stage != TrainerFn.FITTING:
            return
        device = trainer.strategy.root_device.type
        on_cpu = device == "cpu" and isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        channels_last = on_cpu and any(isinstance(part, nn.Conv2d) for part in pl_module.vae.modules())
        if channels_last:
            set_layout(pl_module.vae, torch.channels_last)
        if trainer.is_global_zero:
            threads = [f"OMP_NUM_THREADS={torch.get_num_threads()}"] if device == "cpu" else []
            layout = ["channels last"] * channels_last
            print("trainer:", ", ".join([device, *threads, trainer.precision, *layout]), flush=True)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        set_layout(pl_module.vae, torch.contiguous_format)


def set_layout(vae: nn.Module, layout: torch.memory_format) -> None:
    """Change the memory layout of the weights of all convolutions.

    Args:
        vae: The model.
        layout: `torch.contiguous_format` or `torch.channels_last`.
    """
    for part in vae.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.weight.data = part.weight.data.contiguous(memory_format=layout)
