"""The jobs of a multirun. Started again in the same folder, it skips finished jobs and continues the others."""

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
    """Run a job of a multirun, or return its result if its folder holds the same run, finished.

    An interrupted job continues from its last checkpoint if its configuration is unchanged, and starts again otherwise.

    Args:
        config: Configuration of the job.

    Returns:
        Final value of `config.optimized_metric`; None without one.

    Raises:
        Refusal: If the folder holds a finished run of another configuration.
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
        log.info("%s continues from its last checkpoint.", folder.name)
        config = OmegaConf.merge(config, {"ckpt_path": str(checkpoint)})  # type: ignore[assignment]
    return run(config)


def changed_parts(folder: Path, config: DictConfig) -> list[str]:
    """The parts of a configuration that differ from the run in a folder, without logging.

    Args:
        folder: Folder of the run.
        config: The new configuration.

    Returns:
        Names of parts; empty if there is no run.
    """
    if not (folder / "config.yaml").is_file():
        return []
    try:
        before = runs.parse_config(folder / "config.yaml")
    except Refusal:  # truncated by a full disk, so its configuration is unknown
        before = {}
    moved = OmegaConf.merge(config, {"run_dir": before.get("run_dir")})  # a sweep's folder may have been
    now: Any = yaml.safe_load(yaml.safe_dump(OmegaConf.to_container(moved, resolve=True)))
    before["ckpt_path"] = now["ckpt_path"]  # the checkpoint from which it resumed
    return [part for part in {**before, **now} if part not in ("space", "logger") and before.get(part) != now.get(part)]


def clear(folder: Path) -> None:
    """Remove the files of an unfinished run.

    Args:
        folder: Folder of the run.
    """
    for name in ("checkpoints", "figures"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("config.yaml", "metrics.json", "metrics.csv", "model.safetensors"):
        (folder / name).unlink(missing_ok=True)
