"""Samples and reconstructions, on the way, in every logger that shows pictures."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from vaekit.shards import whole
from vaekit.spaces import Image


class Pictures(L.Callback):
    """After the validation of every `every_epochs`-th epoch and at the end; costs nothing without such a logger."""

    def __init__(self, every_epochs: int = 10, rows: int = 8):
        self.every_epochs, self.rows = every_epochs, rows

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch, last = trainer.current_epoch, trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.state.fn == TrainerFn.FITTING and (last or epoch % self.every_epochs == 0):
            self._log(trainer, pl_module)

    def _log(self, trainer: Any, pl_module: Any) -> None:
        loggers = [each for each in trainer.loggers if isinstance(each, WandbLogger | TensorBoardLogger)]
        if loggers and type(pl_module.vae.space) is Image:
            with whole(trainer):
                self._draw(trainer, pl_module, loggers)

    @rank_zero_only
    def _draw(self, trainer: Any, pl_module: Any, loggers: list[Any]) -> None:
        from torchvision.utils import make_grid

        batch, vae = trainer.datamodule.examples("val", self.rows).to(pl_module.device), pl_module.vae
        pairs = torch.cat([batch.x, vae.reconstruct(batch.x, condition=vae.of(batch))])
        grids = {
            "samples": make_grid(vae.sample(self.rows**2), nrow=self.rows),
            "reconstructions": make_grid(pairs, nrow=self.rows),
        }
        for logger in loggers:
            for name, grid in grids.items():
                if isinstance(logger, WandbLogger):
                    logger.log_image(name, [grid], step=trainer.global_step)
                else:
                    logger.experiment.add_image(name, grid.clamp(0, 1), trainer.global_step)
