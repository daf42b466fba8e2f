"""The walk from a configuration to a finished run folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from safetensors.torch import save_file

from vaekit import compatibility, runs
from vaekit.compose import compose
from vaekit.figures import draw_run
from vaekit.processes import one_job
from vaekit.refusal import Refusal
from vaekit.summary import composition, results
from vaekit.training import Training

console = Console()


def run(config: DictConfig) -> float | None:
    """Compose, train, evaluate, draw; return the final value of `config.optimized_metric`."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    for name in ("lightning", "lightning.pytorch"):
        logging.getLogger(name).handlers.clear()  # Hydra's root handler prints them already
    checkpoint = resume_point(config["ckpt_path"], folder)
    compatibility.check_training(config)
    L.seed_everything(config["seed"], workers=True, verbose=False)

    datamodule = instantiate(config["data"]["module"], _convert_="all")
    vae, objective = compose(config, datamodule.space)
    optimizer = config["optimizer"]
    training = Training(
        vae,
        objective,
        instantiate(optimizer["algorithm"], _convert_="all"),
        instantiate(optimizer["decay"], _convert_="all") if optimizer.get("decay") else None,
        optimizer["warmup"],
        config["evaluation"]["num_samples"],
        config["seed"],
    )
    if config["compile"]:
        training.compile_networks()

    plain: Any = OmegaConf.to_container(config, resolve=True)
    callbacks = [instantiate(each, _convert_="all") for each in (config["callbacks"] or {}).values()]
    loggers = [instantiate(each, _convert_="all") for each in (config["logger"] or {}).values()]
    with one_job(folder):
        trainer = instantiate(config["trainer"], callbacks=callbacks, logger=loggers, _convert_="all")
        try:
            if trainer.is_global_zero:
                console.print(composition(vae, objective, hydra.runtime.choices["data"]))
                runs.write_config(folder, plain, vae.space)
            for logger in loggers:
                logger.log_hyperparams(plain)
            trainer.fit(training, datamodule, ckpt_path=checkpoint)
            return finish(folder, trainer, training, datamodule, config["optimized_metric"])
        finally:
            for logger in loggers:
                if isinstance(logger, WandbLogger):  # else the next job of a sweep would join this W&B run
                    logger.experiment.finish()


def resume_point(ckpt_path: str | None, folder: Path) -> Path | None:
    """The checkpoint to resume from; `last` is the newest one under outputs/. Raises `Refusal` if there is none."""
    if ckpt_path is None:
        return None
    found = runs.last_checkpoint() if ckpt_path == "last" else Path(ckpt_path)
    if found is None or not found.is_file():
        raise Refusal(
            f"ckpt_path={ckpt_path} leads to no checkpoint; give a file such as "
            "ckpt_path=outputs/<date>/<time>/checkpoints/last.ckpt, or leave it out to train from the start."
        )
    return found


def finish(folder: Path, trainer: L.Trainer, training: Training, datamodule: Any, optimized: str) -> float | None:
    """Test the best weights and leave everything that a run's folder holds."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}  # a test will clear them
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if best:
        training.load_best(Path(best))
    trainer.test(training, datamodule, verbose=False)
    metrics |= {name: float(value) for name, value in trainer.callback_metrics.items()}
    if trainer.is_global_zero:
        runs.write_metrics(folder, metrics)
        training.eval()
        save_file(training.vae.state_dict(), folder / "model.safetensors")
        draw_run(folder, training.vae, datamodule.examples("test", 1000))
        runs.mark_latest(folder)
        console.print(results(metrics))
        console.print(f"pictures: {folder}/figures\nmetrics:  {folder}/metrics.json", soft_wrap=True)
    if optimized not in metrics:
        raise Refusal(f"optimized_metric={optimized} was not measured; use one of {', '.join(sorted(metrics))}.")
    return metrics[optimized]
