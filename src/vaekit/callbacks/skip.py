"""Skips steps whose gradient exploded."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from torch.nn.utils import clip_grad_norm_, get_total_norm

from vaekit.refusal import Refusal, setting


class SkipSteps(L.Callback):
    """Skip a step whose gradient norm is above a threshold, or not finite (Child 2021, section 3.1).

    After `patience` skipped steps in a row, a finite gradient is clipped to the threshold and the step is taken, so
    that training cannot stall forever; a gradient that is not finite ends the training. A skipped step changes neither
    the weights nor the moments of the optimizer. The number of skipped steps is logged as train/skipped.

    Args:
        threshold: Largest norm of the gradient.
        patience: Steps in a row that may be skipped.

    Raises:
        Refusal: For a `threshold` that is not above 0, and a negative `patience`.
    """

    def __init__(self, threshold: float = 1000.0, patience: int = 10):
        if threshold <= 0 or patience < 0:
            raise Refusal(
                f"Got threshold={threshold} and patience={patience}, expected threshold > 0 and patience >= 0; "
                f"use {setting('threshold')}=1000 {setting('patience')}=10."
            )
        self.threshold, self.patience = threshold, patience
        self.skipped, self.in_a_row = 0, 0

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = float(get_total_norm(p.grad for p in weights))
        if norm <= self.threshold:
            self.in_a_row = 0
        elif self.in_a_row < self.patience:
            self.in_a_row, self.skipped = self.in_a_row + 1, self.skipped + 1
            optimizer.zero_grad(set_to_none=True)  # with zeros, Adam's momentum would still move the weights
        elif norm < float("inf"):
            self.in_a_row = 0
            clip_grad_norm_(weights, self.threshold)
        else:
            raise Refusal(f"The gradient was not finite in {self.in_a_row + 1} steps in a row; use optimizer.lr=1e-4.")
        if (trainer.global_step + 1) % trainer.log_every_n_steps == 0:
            pl_module.log("train/skipped", float(self.skipped))

    def state_dict(self) -> dict[str, int]:
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]
