"""The figures of the test after training, once more."""

from __future__ import annotations

import lightning.pytorch as L
import torch
from rich.console import Console

from vaekit import runs
from vaekit.compose import compose
from vaekit.summary import results
from vaekit.tasks.checks import within
from vaekit.tasks.context import Context
from vaekit.training import Training


def evaluate(context: Context, num_samples: int | None = None) -> dict[str, float]:
    """Figures of the test split by name, as the run's own metrics.json has them, in nats per example: metrics.json.

    num_samples: importance samples of test/nll; None for as many as after training, which gives the same numbers (in
        float32, and with the run's batch size).
    Raises `Refusal` for num_samples < 1.
    """
    if num_samples is None:
        num_samples = context.config["evaluation"]["num_samples"]
    within("task.num_samples", num_samples, 1)
    _, objective = compose(context.config, context.vae.space)
    training = Training(context.vae, objective, torch.optim.Adam, nll_samples=num_samples)
    device = context.vae.device.type
    trainer = L.Trainer(
        accelerator=device, devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.test(training, context.data, verbose=False)
    context.vae.to(device)  # Lightning leaves it on the CPU
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    runs.write_metrics(context.out, metrics)
    Console().print(results(metrics))
    return metrics
