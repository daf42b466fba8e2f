"""Fits another prior to a trained run: a sampler for an autoencoder, or a better prior for a VAE."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
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
from vaekit.overrides import typed
from vaekit.plan.plan import Plan
from vaekit.priors.flow_matching import FlowMatching
from vaekit.refusal import Refusal
from vaekit.summary import number
from vaekit.tasks.evaluate import measure
from vaekit.tasks.shared.checks import flag, positive, within
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.requires import requires
from vaekit.track import track
from vaekit.vae import VAE

PRIOR_ONLY = {"_target_": "vaekit.objectives.prior_only.PriorOnly"}
DECAY = 0.999  # of the average of the weights
Score = Callable[[Any, Tensor], Tensor]  # of draws under a distribution
PATIENCE = 10  # number of epochs without a lower held-out loss after which training ends


@requires(Capability.SINGLE_LEVEL, instead="fit the prior with the model: train.py prior=flow")
def fit_prior(
    context: Context,
    prior: Mapping[str, Any],
    folder: str | Path,
    epochs: int = 200,
    lr: float = 3e-3,
    num_samples: int | None = None,
    reflow: bool = False,
) -> dict[str, float]:
    """Fit a prior to the latents of a trained run, and write both as a new run.

    Dai and Wipf 2019, https://arxiv.org/abs/1903.05789, section 4, for any prior. Encoder, posterior and likelihood do
    not change. The prior maximizes the mean of log p(z) over draws z from q(z | x) of the training rows (or minimizes a
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
        reflow: Whether prior=flow_matching is fitted again, to its own noise and the draws from it rather than to
            latents (Liu et al. 2023, https://arxiv.org/abs/2209.03003): its paths become straight, so that 1 to 4 steps
            suffice. It starts from the weights of the run.

    Returns:
        The contents of metrics.json: the metrics of `evaluate`, and test/log_pz, the mean of log p(z) in nats; with the
            prefix before/ those of the old prior.

    Raises:
        Refusal: If the parts do not fit, the folder cannot be created, or the run has no such prior to reflow.
    """
    within("task.epochs", epochs, 1)
    positive("task.lr", lr)
    if num_samples is None:
        num_samples = context.config["evaluation"]["num_samples"]
    within("task.num_samples", num_samples, 1)
    flag("task.reflow", reflow)
    config, folder = {**context.config, "prior": prior}, Path(folder)
    whole = runs.read_whole_config(context.run)
    if whole.get("privacy"):
        raise Refusal(
            "This run is differentially private, and fit_prior would read its training rows without noise. Train a new "
            "run with the prior: python train.py privacy=dp prior=flow."
        )
    if reflow:
        check_reflow(context.config["prior"], prior)
    vae = Plan.read({**config, "objective": PRIOR_ONLY}, context.vae.space).build()[0].to(context.vae.device).eval()
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise Refusal(f"Cannot make {folder} ({error.strerror}); use another task.folder=FOLDER.") from error

    kept = {name: weight for name, weight in context.vae.state_dict().items() if reflow or ".prior." not in name}
    vae.load_state_dict(kept, strict=False)
    new = replace(context, vae=vae, config=config)
    bf16 = str(whole.get("trainer", {}).get("precision")).startswith("bf16")
    fit(new, epochs, lr, bf16, context.vae if reflow else None)

    z = draws(vae, *encode(new, "test"))
    before, after = (
        measure(each, num_samples) | {"test/log_pz": mean_score(log_prob, each.vae, *z)} for each in (context, new)
    )
    metrics = after | {name.replace("test/", "before/"): value for name, value in before.items()}
    origin = {"run": str(context.run), "epochs": epochs, "lr": lr} | ({"reflow": True} if reflow else {})
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


def check_reflow(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Check that a prior can start from the weights of the one of the run, and that both are flows.

    Args:
        old: Configuration of the prior of the run.
        new: That of the new prior.

    Raises:
        Refusal: If it cannot.
    """
    kind = resolve_name(old["_target_"])
    if not issubclass(kind, FlowMatching) or new["_target_"] != old["_target_"]:
        raise Refusal("task.reflow=true requires prior=flow_matching, in the run (fit it first) and in the command.")
    if old["path"] != "optimal_transport":
        raise Refusal(
            f"task.reflow=true makes paths straight, and those of prior.path={old['path']} are curved. Expected a run "
            "fitted with prior.path=optimal_transport."
        )
    missing = [
        typed(f"prior.{name}", old[name]) for name in old if name not in kind.sampling and new[name] != old[name]
    ]
    if missing:
        raise Refusal(f"task.reflow=true starts from the weights of the prior of the run. Add {' '.join(missing)}.")


def fit(context: Context, epochs: int, lr: float, bf16: bool = False, teacher: VAE | None = None) -> None:
    """Train the prior of a VAE; all other weights are frozen.

    Args:
        context: The run.
        epochs: Number of epochs.
        lr: Learning rate at the start.
        bf16: Whether networks run in bfloat16.
        teacher: The VAE whose prior's noise and draws are fitted rather than latents; None for latents.
    """
    vae, prior = context.vae, context.vae.latents.levels[0].prior
    (rows, condition), others = encode(context, "train"), encode(context, "val")
    vae.requires_grad_(False)
    prior.requires_grad_(True)
    loss_of: Score
    if teacher is None:
        loss_of, held_out = fitting_loss, draws(vae, *others, 10)
        prior.start_from(context.data)
        prior.start_at(draws(vae, rows, condition)[0])
    else:
        loss_of, held_out = rectifying_loss, pairs(teacher, *others)
        rows, condition = pairs(teacher, rows, condition)
    optimizer = torch.optim.Adam(prior.parameters(), lr)
    steps = epochs * math.ceil(len(rows) / context.data.batch_size)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    averaged = AveragedModel(prior, multi_avg_fn=partial(average, decay=DECAY), use_buffers=True)
    best, kept, since = math.inf, None, 0
    for _ in track(range(epochs), "fitting"):
        prior.train()
        for numbers in torch.randperm(len(rows)).split(context.data.batch_size):
            optimizer.zero_grad()
            part = rows[numbers], None if condition is None else condition[numbers]
            part = draws(vae, *part) if teacher is None else part
            with torch.autocast(vae.device.type, torch.bfloat16, enabled=bf16):
                loss = scored(loss_of, vae, *part).mean()
            loss.backward()
            optimizer.step()
            decay.step()
            averaged.update_parameters(prior)
        prior.eval()
        trained = copied(prior)
        prior.load_state_dict(averaged.module.state_dict())
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the same noise after each epoch
            now = mean_score(loss_of, vae, *held_out)
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


@torch.no_grad()
def pairs(vae: VAE, rows: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Noise, and the draws of a flow-matching prior to which it leads.

    Args:
        vae: The model.
        rows: One for each pair, of which only the number counts.
        condition: Condition of each pair, or None.

    Returns:
        `[N, 2, ...]`, and the condition.
    """
    noise = torch.randn(len(rows), *vae.latents.levels[0].space.shape, device=vae.device)
    parts = track(chunked(noise, condition), "drawing")
    z = torch.cat([scored(lambda p, start: p.transport(start), vae, *part) for part in parts])
    return torch.stack([noise, z], 1), condition


def rectifying_loss(p: Any, pairs: Tensor) -> Tensor:
    """The loss that straightens the paths of a flow.

    Args:
        p: The distribution of a flow-matching prior.
        pairs: `[N, 2, ...]`, from `pairs`.
    """
    start, z = pairs.unbind(1)
    return p.rectifying_loss(z, start)


def scored(score: Score, vae: VAE, z: Tensor, condition: Tensor | None) -> Tensor:
    """A score of draws under the prior.

    Args:
        score: `fitting_loss`, `rectifying_loss` or `log_prob`.
        vae: The model.
        z: `[N, ...]`, from `draws`, or from `pairs`.
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
def mean_score(score: Score, vae: VAE, z: Tensor, condition: Tensor | None) -> float:
    """The mean of `scored`.

    Args:
        score: See `scored`.
        vae: The model.
        z: `[N, ...]`, from `draws`, or from `pairs`.
        condition: Condition of each, or None.
    """
    return float(torch.cat([scored(score, vae, *part) for part in chunked(z, condition)]).mean())


def chunked(z: Tensor, condition: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    """z in parts of at most 1,024 rows, with the condition of each.

    Args:
        z: `[N, ...]`.
        condition: Condition of each, or None.
    """
    parts = z.split(1024)
    given = [None] * len(parts) if condition is None else condition.split(1024)
    return list(zip(parts, given, strict=True))


def log_prob(p: Distribution, z: Tensor) -> Tensor:
    """log p(z).

    Args:
        p: A distribution.
        z: `[N, ...]`.
    """
    return p.log_prob(z)
