"""The cost of a training step, estimated before training."""

from __future__ import annotations

from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vaekit.batch import Batch
from vaekit.vae import VAE

ADAM = 4  # weights, gradients, and two moments


class Estimate(NamedTuple):
    """Cost of one training step.

    Args:
        memory: Bytes held at once.
        seconds: Duration.
    """

    memory: int
    seconds: float


def estimate(vae: VAE, objective: Any, penalties: nn.ModuleDict, batch: Batch, steps: int = 3) -> Estimate:
    """The cost of one training step, on the device of the batch and without a compiler.

    Memory is that of weights, gradients and the moments of Adam, and of the activations kept for the gradient.

    Args:
        vae: The model.
        objective: Its objective.
        penalties: Its penalties by name.
        batch: Rows of one step.
        steps: Number of steps that are timed; the fastest one counts.

    Returns:
        Bytes and seconds.
    """
    weights = {weight.untyped_storage().data_ptr() for weight in vae.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    seconds = []
    for _ in range(steps):
        kept.clear()
        start = perf_counter()
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            terms = vae(batch, objective.num_samples)
            loss = objective(terms, 0.0).mean() + sum(each(terms, vae, 0.0) for each in penalties.values())
        loss.backward()
        if batch.x.device.type != "cpu":
            torch.accelerator.synchronize()
        seconds.append(perf_counter() - start)
    vae.zero_grad()
    held = sum(ADAM * weight.nbytes for weight in vae.parameters())
    return Estimate(held + sum(size for at, size in kept.items() if at not in weights), min(seconds))
