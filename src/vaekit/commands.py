"""The two commands, `train.py` and `apply.py`: Hydra in, one call out.

A `Refusal` is printed without its traceback; `debug=true` or HYDRA_FULL_ERROR=1 shows it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vaekit.configs import CONF
from vaekit.refusal import Refusal

# microseconds, so that two runs of one second do not share a folder; exported, so that the processes of one run do
os.environ.setdefault("VAEKIT_STAMP", datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f"))


def run_folder(ckpt_path: str | None, stamp: str) -> str:
    """Where a run writes: a new folder, or the one that holds the checkpoint it resumes from."""
    if ckpt_path is None:
        return f"outputs/{stamp}"
    from vaekit.runs import find_checkpoint

    try:
        return str(find_checkpoint(ckpt_path).parent.parent)
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from None  # OmegaConf wraps all other exceptions of a resolver


def job_folder(number: int, overrides: str) -> str:
    """A multirun job's folder: its number and overrides, in characters that can be typed as an override again."""
    return re.sub(r"[^\w.+-]+", "-", f"{number}_{overrides}")[:120].rstrip("-_")


OmegaConf.register_new_resolver(
    "run_folder", lambda ckpt_path: run_folder(ckpt_path, os.environ["VAEKIT_STAMP"]), replace=True
)
OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
# a resumed run keeps the .hydra/ of its start: those are the overrides that compose its model
OmegaConf.register_new_resolver("hydra_folder", lambda ckpt_path: None if ckpt_path else ".hydra", replace=True)


class WritableFolder(Callback):
    """Makes the folder before Hydra does, which would answer with a traceback where that cannot be."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._make(config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._make(config.hydra.sweep.dir)

    def _make(self, folder: str) -> None:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(None, "Permission denied")
        except OSError as error:  # an exception of a Hydra callback would only be a warning
            raise SystemExit(
                f"Cannot write to {folder}: {error.strerror}; give another hydra.run.dir=FOLDER."
            ) from None


def _refusing(call: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    try:
        return call(config)
    except Refusal as refusal:
        if config.get("debug"):
            raise
        raise CompactHydraException(str(refusal)) from refusal


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def train(config: DictConfig) -> float | None:
    """Train one VAE, evaluate it, and leave a run folder; the optimised metric is returned to a sweeper."""
    from vaekit.train import run  # imported here: tab completion should not wait for torch

    return _refusing(run, config)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="apply")
def _apply(config: DictConfig) -> None:
    from vaekit.apply import run

    _refusing(run, config)


def apply() -> None:
    """Use a trained VAE: one task, whose results go into the run's folder."""
    # which settings the run's data have is known when the run is read; until then Hydra must let them all pass
    sys.argv[1:] = [f"++{word}" if word.startswith("data.") else word for word in sys.argv[1:]]
    _apply()
