"""Samples and reconstructions during training, for loggers that show images."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as L
import numpy as np
import PIL.Image
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from vaekit.media.album import draw_examples
from vaekit.shards import whole


class Pictures(L.Callback):
    """Logs samples and reconstructions every few epochs and at the end, if a logger can show them.

    Logs the same files that a run writes into figures/: images, or table rows and text lines.

    Args:
        every_epochs: Number of epochs between two logs.
        rows: Number of validation rows that are reconstructed.
    """

    def __init__(self, every_epochs: int = 10, rows: int = 8):
        self.every_epochs, self.rows = every_epochs, rows

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch, last = trainer.current_epoch, trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.state.fn == TrainerFn.FITTING and (last or epoch % self.every_epochs == 0):
            self._log(trainer, pl_module)

    def _log(self, trainer: Any, pl_module: Any) -> None:
        loggers = [each for each in trainer.loggers if isinstance(each, WandbLogger | TensorBoardLogger)]
        if loggers:
            with whole(trainer):
                self._draw(trainer, pl_module, loggers)

    @rank_zero_only
    def _draw(self, trainer: Any, pl_module: Any, loggers: list[Any]) -> None:
        examples = trainer.datamodule.sample("val", self.rows).to(pl_module.device)
        with TemporaryDirectory() as folder:
            classes, weights = trainer.datamodule.source.classes(), f"weights of epoch {trainer.current_epoch}"
            draw_examples(Path(folder), pl_module.vae, examples, classes, "validation examples", weights)
            files = sorted(path for path in Path(folder).iterdir() if path.is_file())
            drawn = {path.stem for path in files if path.suffix == ".png"}
            for path in files:
                for logger in loggers:
                    if path.suffix == ".png":
                        log_picture(logger, path, trainer.global_step)
                    elif path.stem not in drawn:
                        log_rows(logger, path, trainer.global_step)


def log_picture(logger: Any, path: Path, step: int) -> None:
    """Log a PNG under the name of its file, with all its pixels.

    Args:
        logger: A logger of Lightning.
        path: The file.
        step: Step of the training.
    """
    picture = PIL.Image.open(path).convert("RGB")
    if isinstance(logger, WandbLogger):
        logger.log_image(path.stem, [picture], step=step)
    else:
        logger.experiment.add_image(path.stem, np.array(picture), step, dataformats="HWC")


def log_rows(logger: Any, path: Path, step: int) -> None:
    """Log a text file, as a table with one column, or a CSV file, under its name.

    Args:
        logger: A logger of Lightning.
        path: The file.
        step: Step of the training.
    """
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            columns, *rows = csv.reader(file)
    else:
        columns, rows = ["text"], [[line] for line in path.read_text("utf-8").splitlines()]
    if isinstance(logger, WandbLogger):
        logger.log_text(path.stem, columns=columns, data=rows, step=step)
    else:
        lines = [columns, ["---"] * len(columns), *rows]
        logger.experiment.add_text(path.stem, "\n".join(f"| {' | '.join(line)} |" for line in lines), step)
