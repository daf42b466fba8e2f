"""Writes a checkpoint when a signal ends a run."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_only

TERMINATED = 128 + signal.SIGTERM  # exit code of a process that SIGTERM has ended


class Stop(Checkpoint):
    """On SIGTERM, writes a checkpoint after the current step of the optimizer and ends with exit code 143.

    In a SLURM job it also does so on SIGUSR1, and the job is then queued again. Several processes agree on the step to
    stop at whenever steps are logged. Lightning itself would wait for the end of the epoch and end with exit code 0.
    The attribute `restored` says whether a checkpoint to resume from has been read completely.

    Args:
        checkpoint: The file to write.
    """

    def __init__(self, checkpoint: Path):
        self.checkpoint, self.received, self.in_steps, self.restored = checkpoint, 0, False, False
        self.signals = [signal.SIGTERM, *[signal.SIGUSR1] * ("SLURM_JOB_ID" in os.environ)]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """A context that handles the signals; outside of training they end the process at once."""
        if threading.current_thread() is not threading.main_thread():  # only it may set handlers
            yield
            return
        before = [signal.signal(number, self._receive) for number in self.signals]
        try:
            yield
        finally:
            for number, handler in zip(self.signals, before, strict=True):
                signal.signal(number, handler)

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number
        if not self.in_steps:
            self._end()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.in_steps = self.restored = True
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:  # Lightning has replaced the handlers of `listening`
                signal.signal(number, self._receive)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        done = batch_idx + 1
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch  # a validation follows
        if last or done % trainer.accumulate_grad_batches or done % trainer.val_check_batch == 0:
            return
        if trainer.world_size == 1 or done % trainer.log_every_n_steps == 0:
            self._stop_if_received(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._stop_if_received(trainer)

    def _stop_if_received(self, trainer: Any) -> None:
        if trainer.strategy.reduce_boolean_decision(bool(self.received), all=False):
            self.in_steps = False
            trainer.save_checkpoint(self.checkpoint)
            self._end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.in_steps = False

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.in_steps = False

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self.restored = True  # also if no step was left

    def _end(self) -> None:
        if self.received == signal.SIGUSR1:
            requeue()
        raise SystemExit(TERMINATED)


@rank_zero_only
def requeue() -> None:
    """Let SLURM queue this job again; it continues where it stopped, see `vaekit.folders.requeued`."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    subprocess.run(["scontrol", "requeue", job], check=False)
