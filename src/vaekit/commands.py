"""The two commands, `train.py` and `apply.py`: Hydra in, one call out.

A `Refusal` is printed without its traceback; `debug=true` or HYDRA_FULL_ERROR=1 shows it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zlib import crc32

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vaekit.configs import CONF
from vaekit.refusal import Refusal
from vaekit.sweep_summary import find_done, own

ENGINES = {  # sweepers and launchers that Hydra does not bring, and the packages that do
    "sweep=random": "hydra-optuna-sweeper",
    "sweep=optuna": "hydra-optuna-sweeper",
    "hydra/sweeper=optuna": "hydra-optuna-sweeper",
    "hydra/launcher=joblib": "hydra-joblib-launcher",
    "hydra/launcher=submitit_local": "hydra-submitit-launcher",
    "hydra/launcher=submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher=ray": "hydra-ray-launcher",
}

NONE = {group: f"{group}=[]" for group in ("penalty", "callbacks", "logger")}  # how no choice of a group is typed
NONE |= {group: f"'~{group}'" for group in ("condition", "experiment", "sweep")}


def stamp() -> str:
    """The name of a new run: microseconds, so that two runs of one second do not share a folder.

    Processes that srun or torchrun has started are one run, and agree on a name.
    """
    now = datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return f"slurm/{os.environ['SLURM_JOB_ID']}-{os.environ['SLURM_STEP_ID']}"
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        from torch.distributed import TCPStore

        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        return store.compare_set("vaekit_stamp", "", now).decode()  # that of the first to come
    return now


os.environ.setdefault("VAEKIT_STAMP", stamp())  # exported, for the processes that this one starts


def run_folder(ckpt_path: str | None, stamp: str) -> str:
    """Where a run writes: a new folder, or the one that holds the checkpoint it resumes from."""
    if ckpt_path is None:
        return f"outputs/{stamp}"
    from vaekit.runs import find_checkpoint

    try:
        return str(find_checkpoint(ckpt_path).parent.parent)
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from None  # OmegaConf wraps all other exceptions of a resolver


def job_folder(sweep: str, number: int, overrides: Sequence[str]) -> str:
    """A multirun job's folder: its number and overrides, in characters that can be typed as an override again.

    Where the same job is done already, under whatever number, it is that folder.
    """
    name = re.sub(r"[^\w.+-]+", "-", "_".join(sorted(own(overrides)))).rstrip("-_")
    if len(name) > 110:
        name = f"{name[:101]}-{crc32(name.encode()):08x}"
    done = find_done(Path(sweep), overrides, name)
    return done.name if done else f"{number}_{name}".rstrip("_")


def wandb_run(ckpt_path: str | None, folder: str) -> str | None:
    """The name of the W&B run that the run in `folder` left, if it is resumed."""
    left = sorted(Path(folder).glob("wandb/*run-*/run-*.wandb"), key=os.path.getmtime) if ckpt_path else []
    return left[-1].stem.removeprefix("run-") if left else None


OmegaConf.register_new_resolver("wandb_run", wandb_run, replace=True)
OmegaConf.register_new_resolver(
    "run_folder", lambda ckpt_path: run_folder(ckpt_path, os.environ["VAEKIT_STAMP"]), replace=True
)
OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
# a resumed run keeps the .hydra/ of its start: those are the overrides that compose its model
OmegaConf.register_new_resolver("hydra_folder", lambda ckpt_path: None if ckpt_path else ".hydra", replace=True)


class WritableFolder(Callback):
    """Makes the folder before Hydra does, which would answer with a traceback where that cannot be."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._make(config.hydra.run.dir, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._make(config.hydra.sweep.dir, "hydra.sweep.dir")

    def _make(self, folder: str, key: str) -> None:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(None, "Permission denied")
        except OSError as error:  # an exception of a Hydra callback would only be a warning
            raise SystemExit(f"Cannot write to {folder}: {error.strerror}; give another {key}=FOLDER.") from None


def _refusing(call: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    try:
        return call(config)
    except Refusal as refusal:
        if config.get("debug"):
            raise
        raise CompactHydraException(str(refusal)) from refusal


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def _train(config: DictConfig) -> float | None:
    from vaekit.sweep_jobs import run_job  # imported here: tab completion should not wait for torch
    from vaekit.train import run

    return _refusing(run_job if HydraConfig.get().mode == RunMode.MULTIRUN else run, config)


def refuse_numbers(words: Sequence[str]) -> None:
    """Exit with a sentence for a group that is to be a number or null, which Hydra answers with a traceback."""
    for word in words:
        group, _, choice = word.partition("=")
        if group and (CONF / group).is_dir() and re.fullmatch(r"null|[-+]?[\d.]+", choice):
            names = sorted(file.stem for file in (CONF / group).glob("[!_]*.yaml"))
            none = f", or {NONE[group]} for none" if group in NONE else ""
            raise SystemExit(f"Got {word}, expected one of {', '.join(names)}; use {group}={names[0]}{none}.")


def train() -> None:
    """Train one VAE, evaluate it, and leave a run folder; the optimised metric is returned to a sweeper."""
    refuse_numbers(sys.argv[1:])
    for word in ENGINES.keys() & sys.argv[1:]:
        try:
            version(ENGINES[word])
        except PackageNotFoundError:
            extra = "ray" if word.endswith("ray") else "sweep"
            raise SystemExit(f"{word} needs {ENGINES[word]}; type: pip install '.[{extra}]'") from None
    _train()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="apply")
def _apply(config: DictConfig) -> None:
    from vaekit.apply import run

    _refusing(run, config)


def apply() -> None:
    """Use a trained VAE: one task, whose results go into the run's folder."""
    refuse_numbers(sys.argv[1:])
    # which settings the run's data have is known when the run is read; until then Hydra must let them all pass
    sys.argv[1:] = [f"++{word}" if word.startswith("data.") else word for word in sys.argv[1:]]
    _apply()
