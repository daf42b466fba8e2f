"""The jobs of a sweep: started again in its folder, it skips those that are finished and goes on with the rest."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vaekit import runs
from vaekit.folders import claim
from vaekit.refusal import Refusal
from vaekit.training.run import run

log = logging.getLogger(__name__)


def run_job(config: DictConfig) -> float | None:
    """`run` one job of a multirun, or return what it came to if its folder holds the same run, finished.

    One that was interrupted goes on from its last checkpoint if its configuration is still the same, else it starts
    anew. Raises `Refusal` where the folder holds the finished run of another configuration.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    with claim(folder):
        return _run_in(folder, config)


def _run_in(folder: Path, config: DictConfig) -> float | None:
    changed = changed_parts(folder, config)
    metrics = runs.read_metrics(folder)
    if runs.is_finished(folder):
        if changed:
            raise Refusal(
                f"{folder} holds the run of another configuration (of {', '.join(changed)}); "
                "give another hydra.sweep.dir=FOLDER, or delete this one."
            )
        if config["optimized_metric"] in metrics:
            log.info("%s is finished already.", folder.name)
            return metrics[config["optimized_metric"]]
    if changed:
        clear(folder)
    elif (checkpoint := folder / "checkpoints" / "last.ckpt").is_file():
        log.info("%s goes on from its last checkpoint.", folder.name)
        config = OmegaConf.merge(config, {"ckpt_path": str(checkpoint)})  # type: ignore[assignment]
    return run(config)


def changed_parts(folder: Path, config: DictConfig) -> list[str]:
    """The parts of `config`, but for logging, that differ from the run in `folder`; empty where there is none."""
    if not (folder / "config.yaml").is_file():
        return []
    try:
        before = runs.parse_config(folder / "config.yaml")
    except Refusal:  # cut short by a full disk: nobody knows what it trained
        before = {}
    moved = OmegaConf.merge(config, {"run_dir": before.get("run_dir")})  # a sweep's folder may have been
    now: Any = yaml.safe_load(yaml.safe_dump(OmegaConf.to_container(moved, resolve=True)))
    before["ckpt_path"] = now["ckpt_path"]  # where it went on
    return [part for part in {**before, **now} if part not in ("space", "logger") and before.get(part) != now.get(part)]


def clear(folder: Path) -> None:
    """Remove what an unfinished run left."""
    for name in ("checkpoints", "figures"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("config.yaml", "metrics.json", "metrics.csv", "model.safetensors"):
        (folder / name).unlink(missing_ok=True)
