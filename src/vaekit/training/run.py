"""Trains a model: from a configuration to a finished run folder."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.fabric.strategies.launchers import subprocess_script
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor, nn

from vaekit import checkpoints, denormals, memory, run_files, runs, shards
from vaekit.callbacks.stop import Stop
from vaekit.callbacks.whole_checkpoints import WholeCheckpoints
from vaekit.limits import within_limits
from vaekit.media.album import draw_run
from vaekit.overrides import typed
from vaekit.plan.estimate import estimate
from vaekit.plan.plan import Plan, read_choice
from vaekit.plan.run import check_run
from vaekit.refusal import Refusal, building
from vaekit.summary import composition, results
from vaekit.training import transfer
from vaekit.training.find_lr import find_lr
from vaekit.training.module import Training
from vaekit.training.processes import one_job
from vaekit.vae import VAE

console = Console()
UNINTERESTING = (
    ".*LeafSpec",  # warning of torch about how Lightning traverses a batch
    ".*Checkpoint directory .* exists and is not empty",
    ".*smaller than the logging interval",
    ".*could not find the monitored key",  # before the first validation
    ".*zero-element tensors",  # a Refusal follows
    "Optimal order is the .* alpha",  # of opacus, for very small and very large budgets
    ".*It is recommended to use .*sync_dist=True",  # Evaluation has summed over the processes already
)


@denormals.flushed()
def run(config: DictConfig) -> float | None:
    """Build, train, evaluate and draw the model of a configuration.

    Args:
        config: The composed configuration.

    Returns:
        Final value of `config.optimized_metric`; None without one.

    Raises:
        Refusal: For a configuration that cannot be trained, and where memory or disk space runs out.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    last = folder / "checkpoints" / "last.ckpt"
    batch_size = OmegaConf.select(config, "data.batch_size")
    halved = max(1, batch_size // 2) if isinstance(batch_size, int) else 1  # another type is refused below
    memory = f"Try data.batch_size={halved}, smaller networks, or objective.num_samples=1."
    with within_limits(memory, f"Then resume with {typed('ckpt_path', last)}, if there is one."):
        return _run(config, folder)


def _run(config: DictConfig, folder: Path) -> float | None:
    quiet()
    memory.keep_freed()
    check_run(config)
    checkpoint = checkpoints.find_checkpoint(config["ckpt_path"]) if config["ckpt_path"] else None
    L.seed_everything(config["seed"], workers=True, verbose=False)
    datamodule = _build_data(config)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if checkpoint:
        datamodule.prepare_data()
        with checkpoints.restoring(checkpoint):
            checkpoints.check_resumption(checkpoint, plain, datamodule.space, datamodule.state_dict())
            checkpoints.log_changes(checkpoint, config)
    plan = Plan.read(config, datamodule.space, training=True)
    model = plan.build()
    shards.check(config["trainer"]["strategy"], model[0])
    summary = composition(*model, HydraConfig.get().runtime.choices["data"])
    if config["dry_run"]:
        cost = estimate(*model, datamodule.sample("train", datamodule.batch_size))
        console.print(summary)
        console.print(plan.describe(), soft_wrap=True, highlight=False)
        console.print(
            f"A step of {datamodule.batch_size} rows takes {cost.seconds:.3g} s on this machine's CPU and holds "
            f"{cost.memory / 2**20:,.0f} MiB. Nothing was trained or written."
        )
        return None
    weights: dict[str, Tensor] = {}
    matched = ""
    if config["init_from"] and not checkpoint:  # otherwise they have been trained since
        weights, matched = _trained_weights(config["init_from"], model[0])
    training = _build_training(config, *model, weights)
    last = folder / "checkpoints" / "last.ckpt"
    stop, loggers = Stop(last), built(config, "logger")
    with one_job(folder, checkpoint), stop.listening(), checkpoints.restoring(checkpoint, lambda: stop.restored):
        trainer = _build_trainer(config, [*built(config, "callbacks"), stop], loggers)
        try:
            if trainer.is_global_zero:
                console.print(summary)
                if matched:
                    console.print(matched, soft_wrap=True, highlight=False)
                run_files.write_config(folder, plain, datamodule.space)
            if config["find_lr"]:
                lr = find_lr(trainer, training, datamodule, config["optimizer"]["lr"], folder)
                console.print(f"{folder}/figures/learning_rate.png: try optimizer.lr={lr:.2g}", soft_wrap=True)
                return None
            for logger in loggers:
                logger.log_hyperparams(plain)
            trainer.fit(training, datamodule, ckpt_path=checkpoint)
            return finish(folder, trainer, training, datamodule, config["optimized_metric"])
        except SystemExit:
            if trainer.is_global_zero:  # by Ctrl-C or a signal, which Lightning does not report here
                resume = f"to resume, repeat it with {typed('ckpt_path', last)}"
                console.print(f"Interrupted; {resume if last.is_file() else 'no epoch was finished'}.", soft_wrap=True)
            raise
        except MisconfigurationException as error:
            raise Refusal(f"Lightning cannot train like this: {error} Change trainer.* or callbacks.*.") from error
        finally:
            for logger in loggers:
                if isinstance(logger, WandbLogger):  # otherwise the next job of a sweep would join this W&B run
                    logger.experiment.finish()


def _build_data(config: DictConfig) -> Any:
    """The data module. A condition of unknown classes is given those of the data."""
    with building("data"):
        datamodule = instantiate(config["data"]["module"], _convert_="all")
        datamodule.shuffle_seed, datamodule.poisson = config["seed"], bool(config["privacy"])
        _ = datamodule.space  # reads the headers of the files
        if OmegaConf.select(config, "condition.classes", default=0) is None:  # which is data.num_classes
            config["data"]["num_classes"] = len(datamodule.source.classes()) or None
    return datamodule


def _trained_weights(run: Any, vae: VAE) -> tuple[dict[str, Tensor], str]:
    """The weights of a trained run that fit a model, and a description of what did not match."""
    weights, unlike = transfer.match(vae, runs.read_weights(runs.find(str(run), "init_from")))
    matched = f"init_from={run}: {transfer.describe(weights, unlike)}"
    if not weights:
        raise Refusal(f"{matched} No part of it can be used. Repeat its network=, latents=, ... or give another run.")
    return weights, matched


def _build_training(
    config: DictConfig, vae: VAE, objective: Any, penalties: nn.ModuleDict, weights: dict[str, Tensor]
) -> Training:
    frozen = transfer.freeze(vae, config["freeze"])
    with building("optimizer"):
        algorithm = instantiate(config["optimizer"]["algorithm"], _convert_="all")
        algorithm(vae.parameters())  # called here, because Lightning calls it late
        decay = instantiate(config["optimizer"]["decay"], _convert_="all")
    return Training(
        vae,
        objective,
        penalties,
        algorithm,
        decay,
        config["optimizer"]["warmup"],
        config["evaluation"]["num_samples"],
        config["seed"],
        config["compile"],
        read_choice(config["privacy"], "privacy")() if config["privacy"] else None,
        weights,
        frozen,
    )


def _build_trainer(config: DictConfig, callbacks: list[Any], loggers: list[Any]) -> Any:
    with building("trainer"):
        return instantiate(
            config["trainer"],
            callbacks=callbacks,
            logger=loggers,
            plugins=[WholeCheckpoints()],
            enable_progress_bar=any(isinstance(each, ProgressBar) for each in callbacks),
            _convert_="all",
        )


def quiet() -> None:
    """Silence advertisements and device messages of Lightning, and its deprecation warnings."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()  # Hydra's root handler prints them
        logger.propagate = True  # which Lightning sets to False where it was imported first
        logger.setLevel(logging.WARNING)
    for speaking in (subprocess_script.__name__, "lightning.pytorch.profilers"):  # which process died; a report
        logging.getLogger(speaking).setLevel(logging.INFO)
    for message in UNINTERESTING:
        warnings.filterwarnings("ignore", message)


def built(config: DictConfig, group: str) -> list[Any]:
    """Build the parts of a group of which several can be chosen.

    Args:
        config: The composed configuration.
        group: Name of the group, e.g. `callbacks`. A part that is set to null is left out.
    """
    with building(group):
        return [read_choice(each, f"{group}.{name}")() for name, each in (config[group] or {}).items() if each]


def finish(folder: Path, trainer: L.Trainer, training: Training, datamodule: Any, optimized: str) -> float | None:
    """Test the best weights and write the files of a finished run; after a trial run of one batch, nothing.

    Args:
        folder: Folder of the run.
        trainer: The trainer, after training.
        training: The trained module.
        datamodule: The data.
        optimized: Name of the metric to return.

    Returns:
        Final value of that metric.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        trainer.test(training, datamodule, verbose=False)
        return None
    kept = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    best = next((each.best_model_path for each in kept if each.monitor), "")
    shards.gather(trainer, training)
    if best:
        training.load_best(Path(best))
    if trainer.is_global_zero:
        run_files.write_weights(folder, training.vae.state_dict())
    trainer.test(training, datamodule, verbose=False)
    tested = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics = training.validation | tested  # both of the best weights
    if training.privacy is not None:
        metrics |= training.privacy.metrics(trainer.global_step)
    shards.gather(trainer, training)
    if trainer.is_global_zero:
        run_files.write_metrics(folder, metrics)  # after the weights: a run that has both is finished
        training.eval()
        weights = f"weights of epoch {metrics['epoch']:.0f}" if "epoch" in metrics else "weights of the last step"
        draw_run(folder, training.vae, datamodule.sample("test", 1000), datamodule.source.classes(), weights)
        runs.mark_latest(folder)
        console.print(results(metrics))
        console.print(f"pictures: {folder}/figures\nmetrics:  {folder}/metrics.json", soft_wrap=True)
    if optimized not in metrics and training.validation:  # a run without validation has no val/loss
        known = ", ".join(sorted(name for name in metrics if "/" in name))  # without the epoch
        raise Refusal(
            f"optimized_metric={optimized} was not measured; use one of {known}. The run itself is complete: {folder}"
        )
    return metrics.get(optimized)
