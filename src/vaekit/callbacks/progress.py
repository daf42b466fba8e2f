"""Lightning's progress bar, with the loss in nats and images per second."""

from time import perf_counter
from typing import Any

from lightning.pytorch.callbacks import TQDMProgressBar


class Progress(TQDMProgressBar):
    """Both figures are read when the bar is redrawn, so that a training step pays for neither."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._started, self._rows = perf_counter(), 0
        super().on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._rows += len(batch) * trainer.world_size
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if pl_module.last_loss is not None:
            figures["loss"] = f"{pl_module.last_loss.item():.2f} nats"
        if self._rows:
            figures["speed"] = f"{self._rows / (perf_counter() - self._started):,.0f} images/s"
        if "val/loss" in trainer.callback_metrics:
            figures["val"] = f"{trainer.callback_metrics['val/loss']:.2f}"
        return figures
