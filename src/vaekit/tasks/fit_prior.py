"""Fits another prior to a trained run: a sampler for an autoencoder, or a better prior for a VAE."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim.swa_utils import AveragedModel

from vaekit import run_files, runs
from vaekit.callbacks.ema import average
from vaekit.capabilities import Capability
from vaekit.data.module import Part
from vaekit.distributions.fitting import fitting_loss
from vaekit.media.album import draw_run
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.summary import number
from vaekit.tasks.evaluate import measure
from vaekit.tasks.shared.checks import positive, within
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.requires import requires
from vaekit.track import track
from vaekit.vae import VAE

PRIOR_ONLY = {"_target_": "vaekit.objectives.prior_only.PriorOnly"}
DECAY = 0.999  # of the average of the weights
PATIENCE = 10  # number of epochs without a lower held-out loss after which training ends


@requires(Capability.SINGLE_LEVEL, instead="fit the prior with the model: train.py prior=flow")
def fit_prior(
    context: Context,
    prior: Mapping[str, Any],
    folder: str | Path,
    epochs: int = 200,
    lr: float = 3e-3,
    num_samples: int | None = None,
) -> dict[str, float]:
    """Fit a prior to the codes of a trained run, and write both as a new run.

    Dai and Wipf 2019, https://arxiv.org/abs/1903.05789, section 4, for any prior. Encoder, posterior and likelihood do
    not change. The prior maximises the mean of log p(z) over draws z from q(z | x) of the training rows (or minimises a
    loss of its own, as flow_matching does), by Adam, with a learning rate that falls to 0 along a cosine. The result is
    an exponential moving average of the weights, after the epoch that is best on the validation rows. Networks run in
    bfloat16 if those of the run did.

    Args:
        context: The run.
        prior: Configuration of the prior, as in conf/prior.
        folder: Folder of the new run, which must not exist. It gets config.yaml, model.safetensors, metrics.json and
            figures/.
        epochs: Number of epochs.
        lr: Learning rate at the start.
        num_samples: Importance samples of test/nll; None for as many as after training. With 1 it is the negative
            ELBO, which is what a prior with a costly density can afford.

    Returns:
        The contents of metrics.json: the metrics of `evaluate`, and test/log_pz, the mean of log p(z) in nats; with the
            prefix before/ those of the old prior.

    Raises:
        Refusal: If the parts do not fit, or the folder cannot be created.
    """
    within("task.epochs", epochs, 1)
    positive("task.lr", lr)
    if num_samples is None:
        num_samples = context.config["evaluation"]["num_samples"]
    within("task.num_samples", num_samples, 1)
    config, folder = {**context.config, "prior": prior}, Path(folder)
    vae = Plan.read({**config, "objective": PRIOR_ONLY}, context.vae.space).build()[0].to(context.vae.device).eval()
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise Refusal(f"Cannot make {folder} ({error.strerror}); use another task.folder=FOLDER.") from error

    kept = {name: weight for name, weight in context.vae.state_dict().items() if ".prior." not in name}
    vae.load_state_dict(kept, strict=False)
    new, whole = replace(context, vae=vae, config=config), runs.read_whole_config(context.run)
    fit(new, epochs, lr, str(whole.get("trainer", {}).get("precision")).startswith("bf16"))

    z = draws(vae, *encode(new, "test"))
    before, after = (
        measure(each, num_samples) | {"test/log_pz": mean_score(log_prob, each.vae, *z)} for each in (context, new)
    )
    metrics = after | {name.replace("test/", "before/"): value for name, value in before.items()}
    origin = {"run": str(context.run), "epochs": epochs, "lr": lr}
    evaluation = {**config["evaluation"], "num_samples": num_samples}
    run_files.write_config(folder, {**whole, "prior": prior, "evaluation": evaluation, "fit_prior": origin}, vae.space)
    run_files.write_weights(folder, vae.state_dict())
    run_files.write_metrics(folder, metrics)
    draw_run(folder, vae, new.data.sample("test", 1000), new.data.source.classes(), "prior fitted afterwards")
    runs.mark_latest(folder)

    table = Table("metric", "before", "after", title="Test", title_justify="left")
    for name, value in after.items():
        table.add_row(name, number(before[name]), number(value))
    Console().print(table)
    Console().print(f"new run: {folder}", soft_wrap=True)
    return metrics


def fit(context: Context, epochs: int, lr: float, bf16: bool = False) -> None:
    """Train the prior of a VAE; all other weights are frozen.

    Args:
        context: The run.
        epochs: Number of epochs.
        lr: Learning rate at the start.
        bf16: Whether networks run in bfloat16.
    """
    vae, prior = context.vae, context.vae.latents.levels[0].prior
    (rows, condition), held_out = encode(context, "train"), draws(vae, *encode(context, "val"), 10)
    vae.requires_grad_(False)
    prior.requires_grad_(True)
    prior.start_from(context.data)
    prior.start_at(draws(vae, rows, condition)[0])
    optimizer = torch.optim.Adam(prior.parameters(), lr)
    steps = epochs * math.ceil(len(rows) / context.data.batch_size)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    averaged = AveragedModel(prior, multi_avg_fn=partial(average, decay=DECAY), use_buffers=True)
    best, kept, since = math.inf, None, 0
    for _ in track(range(epochs), "fitting"):
        prior.train()
        for numbers in torch.randperm(len(rows)).split(context.data.batch_size):
            optimizer.zero_grad()
            given = None if condition is None else condition[numbers]
            with torch.autocast(vae.device.type, torch.bfloat16, enabled=bf16):
                loss = scored(fitting_loss, vae, *draws(vae, rows[numbers], given)).mean()
            loss.backward()
            optimizer.step()
            decay.step()
            averaged.update_parameters(prior)
        prior.eval()
        trained = copied(prior)
        prior.load_state_dict(averaged.module.state_dict())
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the same noise after each epoch
            now = mean_score(fitting_loss, vae, *held_out)
        since += 1
        if now < best:
            best, kept, since = now, copied(prior), 0
        if since == PATIENCE:
            break
        prior.load_state_dict(trained)
    if kept is None:
        raise Refusal("The loss of the validation rows was never finite; use task.lr=1e-4.")
    prior.load_state_dict(kept)


def copied(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights of a module.

    Args:
        module: The module.
    """
    return {name: weight.clone() for name, weight in module.state_dict().items()}


@torch.no_grad()
def encode(context: Context, part: Part) -> tuple[Tensor, Tensor | None]:
    """What z is drawn from, for each row of a part of the data.

    Args:
        context: The run.
        part: Which rows.

    Returns:
        Features `[N, ...]`; for a deterministic posterior over codes the numbers of the codes, `[N, *positions]`, which
            take a thousandth of the memory. And the condition of each row, `[N, ...]`, or None.
    """
    data, vae = context.data, context.vae
    kept, conditions = [], []
    for batch in track(data.in_order(part), f"encoding {part}"):
        batch = context.ready(batch)
        features, condition = vae.encoder(batch.x), vae.condition_of(batch)
        q: Any = (
            vae.latents.levels[0].infer(features, vae.initial_state(condition)[1]) if is_deterministic(vae) else None
        )
        kept.append(features if q is None else q.indices.mode)
        conditions += [] if condition is None else [condition]
    return torch.cat(kept), torch.cat(conditions) if conditions else None


@torch.no_grad()
def draws(vae: VAE, rows: Tensor, condition: Tensor | None, num_samples: int = 1) -> tuple[Tensor, Tensor | None]:
    """Draws of z, from the result of `encode`.

    Args:
        vae: The model.
        rows: Features or codes of N rows.
        condition: Condition of each row, or None.
        num_samples: Draws for each row; one for a deterministic posterior.

    Returns:
        `[num_samples * N, ...]`, and the condition of each draw.
    """
    if is_deterministic(vae):
        return rows, condition
    (step,) = vae.infer(rows, num_samples, condition=condition).steps
    if condition is not None:
        condition = condition.repeat(num_samples, *[1] * (condition.dim() - 1))
    return step.z.flatten(0, 1), condition


def scored(score: Callable[[Distribution, Tensor], Tensor], vae: VAE, z: Tensor, condition: Tensor | None) -> Tensor:
    """A score of draws under the prior.

    Args:
        score: `fitting_loss` or `log_prob`.
        vae: The model.
        z: `[N, ...]`, from `draws`.
        condition: Condition of each, or None.

    Returns:
        `[N]`.
    """
    p: Any = vae.latents.levels[0].generate(vae.initial_state(condition)[1])
    return score(p.indices if is_deterministic(vae) else p, z)


def is_deterministic(vae: VAE) -> bool:
    """Whether the posterior is deterministic over codes, so that z needs no draw.

    Args:
        vae: The model.
    """
    return Capability.DETERMINISTIC in vae.latents.levels[0].gives


@torch.no_grad()
def mean_score(score: Callable[[Distribution, Tensor], Tensor], vae: VAE, z: Tensor, condition: Tensor | None) -> float:
    """The mean of `scored`.

    Args:
        score: `fitting_loss` or `log_prob`.
        vae: The model.
        z: `[N, ...]`, from `draws`.
        condition: Condition of each, or None.
    """
    parts = z.split(1024)
    given = [None] * len(parts) if condition is None else condition.split(1024)
    return float(torch.cat([scored(score, vae, *pair) for pair in zip(parts, given, strict=True)]).mean())


def log_prob(p: Distribution, z: Tensor) -> Tensor:
    """log p(z).

    Args:
        p: A distribution.
        z: `[N, ...]`.
    """
    return p.log_prob(z)
