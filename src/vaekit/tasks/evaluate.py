"""The figures of the test after training, once more."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.progress import track

from vaekit import runs
from vaekit.compose import compose
from vaekit.summary import results
from vaekit.tasks.checks import within
from vaekit.tasks.context import Context
from vaekit.training import Training


def evaluate(context: Context, num_samples: int | None = None) -> dict[str, float]:
    """Figures of the test split by name, as the run's own metrics.json has them, in nats per example: metrics.json.

    Penalties are of the training and not of the model: test/loss is the objective alone.

    num_samples: importance samples of test/nll; None for as many as after training, which gives the same numbers (in
        float32, and with the run's batch size).
    Raises `Refusal` for num_samples < 1.
    """
    if num_samples is None:
        num_samples = context.config["evaluation"]["num_samples"]
    within("task.num_samples", num_samples, 1)
    metrics = measure(context, num_samples)
    runs.write_metrics(context.out, metrics)
    Console().print(results(metrics))
    return metrics


def measure(context: Context, num_samples: int) -> dict[str, float]:
    """The figures of `evaluate`, written nowhere."""
    _, objective, penalties = compose(context.config, context.vae.space)
    training = Training(context.vae, objective, penalties, torch.optim.Adam, nll_samples=num_samples).eval()
    training.evaluation.to(context.vae.device)
    with torch.no_grad():
        for index, batch in enumerate(track(context.test, "evaluating")):  # the very steps of the test after training
            training.on_test_batch_start(batch, index)
            training.test_step(context.data.transform(batch.to(context.vae.device), training=False), index)
    return {f"test/{name}": value for name, value in training.evaluation.compute().items()}
