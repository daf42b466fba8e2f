"""A learning rate to start from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
from lightning.pytorch.tuner import Tuner

from vaekit.media.plots import save_panels
from vaekit.refusal import Refusal

STEPS = 100  # of the test, from LOWEST to HIGHEST
LOWEST, HIGHEST = 1e-6, 1.0
FIRST = 10  # step that counts, of a smoothed loss


def find_lr(trainer: L.Trainer, training: Any, datamodule: Any, lr: float, folder: Path) -> float:
    """Raise the learning rate step by step, and take it where the loss falls fastest.

    Writes figures/learning_rate.png, the loss over the learning rate. The weights are as before when it returns.

    Args:
        trainer: A new trainer.
        training: What it trains.
        datamodule: The data.
        lr: The learning rate of the configuration, which the figure shows as well.
        folder: Of the run.

    Returns:
        The learning rate.

    Raises:
        Refusal: If the loss does not fall.

    References:
        Leslie Smith. Cyclical Learning Rates for Training Neural Networks. In WACV 2017.
            https://arxiv.org/abs/1506.01186
    """
    logging.getLogger("lightning.pytorch.tuner.lr_finder").setLevel(logging.ERROR)  # a `Refusal` follows
    training.learning_rate = lr  # set by Lightning, not used
    trainer.fit_loop.max_epochs = -1  # as many as it takes
    found = Tuner(trainer).lr_find(training, datamodule=datamodule, min_lr=LOWEST, max_lr=HIGHEST, num_training=STEPS)
    rates, losses = (found.results[name][FIRST:] if found else [] for name in ("lr", "loss"))
    change = np.nan_to_num(np.diff(losses), nan=np.inf)  # a step, so on the log scale of the figure
    if not len(change) or change.min() >= 0:
        raise Refusal(f"The loss does not fall at any learning rate from {LOWEST} to {HIGHEST}. Try network=mlp.")
    suggested = float(rates[change.argmin()])
    (folder / "figures").mkdir(exist_ok=True)

    def panel(axis: Any) -> None:
        axis.plot(rates, losses)
        axis.axvline(suggested, color="C1", label=f"steepest: {suggested:.2g}")
        axis.axvline(lr, color="gray", linestyle="--", label=f"optimizer.lr={lr:g}")
        fall = losses[0] - min(losses)
        axis.set(xscale="log", xlabel="learning rate", ylabel="smoothed training loss (nats)")
        axis.set_ylim(min(losses) - 0.1 * fall, losses[0] + 0.5 * fall)  # it ends in an explosion
        axis.legend()

    save_panels(folder / "figures" / "learning_rate.png", {"Loss while the learning rate rises": panel})
    return suggested
