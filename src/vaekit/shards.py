"""Weights under trainer=fsdp, where each process holds a part of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as L
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from vaekit.refusal import Refusal


def check(strategy: Any, vae: nn.Module) -> None:
    """Check that trainer=fsdp can split the weights of a model.

    Args:
        strategy: The trainer's strategy, by name or object.
        vae: The model.

    Raises:
        Refusal: If a weight is a single number and the strategy is fsdp.
    """
    number = next((name for name, weight in vae.named_parameters() if weight.dim() == 0), None)
    if number and "fsdp" in str(strategy).lower():  # its name, or its class
        raise Refusal(f"trainer=fsdp cannot spread {number}, a single number; use trainer=ddp.")


def whole(trainer: L.Trainer) -> AbstractContextManager[None]:
    """A context in which the trainer's model has all of its weights, to be read. Every process must enter it.

    Args:
        trainer: The trainer.
    """
    if isinstance(model := trainer.model, FullyShardedDataParallel):
        return FullyShardedDataParallel.summon_full_params(model, writeback=False)
    return nullcontext()


def gather(trainer: L.Trainer, module: Any) -> None:
    """Turn a module back into an ordinary one after the trainer has fitted or tested it. Every process must call this.

    Args:
        trainer: The trainer.
        module: The trained module.
    """
    if not isinstance(trainer.model, FullyShardedDataParallel):
        return
    with whole(trainer):
        weights = {name: weight.detach().cpu().clone() for name, weight in module.named_parameters()}
    for name, weight in weights.items():
        owner, _, own_name = name.rpartition(".")
        setattr(module.get_submodule(owner), own_name, nn.Parameter(weight))
