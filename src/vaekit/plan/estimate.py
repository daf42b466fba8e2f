"""What a training step costs, before any training."""

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
    """Bytes that a step holds at once, and seconds that it takes."""

    memory: int
    seconds: float


def estimate(vae: VAE, objective: Any, penalties: nn.ModuleDict, batch: Batch, steps: int = 3) -> Estimate:
    """The cost of one training step on `batch`, on its device and without a compiler: the fastest of `steps`.

    Memory is that of weights, gradients and Adam's moments, and of what is kept of a batch for the gradient.
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
