"""What trainer=fsdp asks of everyone who uses a model's weights outside of a step: a process has but a part of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as L
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from vaekit.refusal import Refusal


def check(strategy: Any, vae: nn.Module) -> None:
    """Raise `Refusal` for weights that trainer=fsdp cannot spread over processes."""
    number = next((name for name, weight in vae.named_parameters() if weight.dim() == 0), None)
    if number and "fsdp" in str(strategy).lower():  # its name, or its class
        raise Refusal(f"trainer=fsdp cannot spread {number}, a single number; use trainer=ddp.")


def whole(trainer: L.Trainer) -> AbstractContextManager:
    """Within, the trainer's model has all of its weights, to be read. Every process has to enter."""
    if isinstance(model := trainer.model, FullyShardedDataParallel):
        return FullyShardedDataParallel.summon_full_params(model, writeback=False)
    return nullcontext()


def gather(trainer: L.Trainer, module: Any) -> None:
    """Let `module` be an ordinary one again, after the trainer has fitted or tested it. Every process calls this."""
    if not isinstance(trainer.model, FullyShardedDataParallel):
        return
    with whole(trainer):
        weights = {name: weight.detach().cpu().clone() for name, weight in module.named_parameters()}
    for name, weight in weights.items():
        owner, _, own_name = name.rpartition(".")
        setattr(module.get_submodule(owner), own_name, nn.Parameter(weight))
