"""The progress bar of Lightning, with the loss in nats and the examples per second."""

import sys
from time import perf_counter
from typing import Any

from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.trainer.states import TrainerFn

REFRESH = 0.2  # seconds between two updates of the bar: drawing it takes as long as a step of a small network
PAUSE = 5.0  # seconds between two lines if there is no bar


class Progress(TQDMProgressBar):
    """A bar on a terminal and in a notebook; elsewhere a line after an epoch, at most every `PAUSE` seconds.

    Metrics are computed only when displayed, so they add no cost to a training step. The speed is that of training
    alone, from the start of an epoch to its last batch.

    Args:
        refresh_rate: Steps from one update to the next; 0 for no bar.
    """

    def __init__(self, refresh_rate: int = 10):
        super().__init__(refresh_rate=refresh_rate)
        self.lines = refresh_rate > 0 and not (sys.stdout.isatty() or "ipykernel" in sys.modules)
        self.started = self.shown = self.printed = 0.0
        self.rows = 0
        if self.lines:
            self.disable()

    def init_train_tqdm(self) -> Any:
        """Lightning's bar without the fields that push the metrics off a terminal of 80 columns."""
        bar = super().init_train_tqdm()
        bar.bar_format = "{l_bar}{bar}|{remaining}{postfix}"
        return bar

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.started, self.rows = perf_counter(), 0
        super().on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.rows += len(batch) * trainer.world_size
        self.seconds = perf_counter() - self.started
        if not self.is_enabled:
            return
        last = batch_idx + 1 == trainer.num_training_batches
        if last or ((batch_idx + 1) % self.refresh_rate == 0 and perf_counter() - self.shown > REFRESH):
            self.shown = perf_counter()
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.paused = perf_counter()
        super().on_validation_start(trainer, pl_module)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == TrainerFn.FITTING:  # in the middle of an epoch
            self.started += perf_counter() - self.paused

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if self.lines and trainer.is_global_zero and (last or perf_counter() - self.printed > PAUSE):
            self.printed = perf_counter()
            figures = self.get_metrics(trainer, pl_module).items()
            print(f"epoch {trainer.current_epoch}:", *(f"{name}={value}" for name, value in figures), flush=True)

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if pl_module.last_loss is not None:
            figures["loss"] = f"{pl_module.last_loss.item():.2f} nats"
        if self.rows:
            figures["speed"] = f"{self.rows / self.seconds:,.0f} examples/s"
        if "val/loss" in trainer.callback_metrics:
            figures["val"] = f"{trainer.callback_metrics['val/loss']:.2f}"
        return figures
