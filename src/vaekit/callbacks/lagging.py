"""More optimizer steps for the inference network than for the rest, so that its posterior does not lag behind."""

from __future__ import annotations

from itertools import chain
from typing import Any

import lightning.pytorch as L
import torch

from vaekit.refusal import Refusal, setting


class Lagging(L.Callback):
    """In the first epochs, encoder and posterior train in every step, all other weights only in every k-th step.

    Used against posterior collapse: a decoder that learns before z carries information learns to ignore z (He et al.
    2019, https://arxiv.org/abs/1901.05534, algorithm 1, whose inner loop ends when the bound no longer rises; here it
    has a fixed length). Between their steps, the other weights and their optimizer moments do not change.

    Args:
        steps: Number of encoder steps per step of all weights, at least 2.
        epochs: Number of epochs; afterwards all weights train in each step.

    Raises:
        Refusal: For `steps` below 2 and `epochs` below 0.
    """

    def __init__(self, steps: int = 5, epochs: int = 2):
        if steps < 2 or epochs < 0:
            raise Refusal(
                f"Got steps={steps} and epochs={epochs}, expected steps >= 2 and epochs >= 0; "
                f"use {setting('steps')}=5 {setting('epochs')}=2."
            )
        self.steps, self.epochs = steps, epochs

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        if trainer.current_epoch >= self.epochs or (trainer.global_step + 1) % self.steps == 0:
            return
        vae = pl_module.vae
        infers = set(chain(vae.encoder.parameters(), *(level.posterior.parameters() for level in vae.latents.levels)))
        for weight in vae.parameters():
            if weight not in infers:
                weight.grad = None  # with zeros, Adam's momentum would still move the weights
