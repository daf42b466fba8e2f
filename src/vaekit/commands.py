"""The two commands, `train.py` and `apply.py`: they let Hydra compose the configuration, then call one function.

A `Refusal` is printed without a traceback; `traceback=true` or HYDRA_FULL_ERROR=1 shows it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from tempfile import TemporaryDirectory
from typing import Any

import hydra
from hydra._internal import utils
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vaekit import folders
from vaekit.configs import CONF
from vaekit.flags import answer
from vaekit.hydra_job import checked, refusals_alone, refuse_numbers
from vaekit.refusal import Refusal, refusal_in

ENGINES = {  # sweepers and launchers that are not part of Hydra, and their packages
    "sweep=random": "hydra-optuna-sweeper",
    "sweep=optuna": "hydra-optuna-sweeper",
    "hydra/sweeper=optuna": "hydra-optuna-sweeper",
    "hydra/launcher=joblib": "hydra-joblib-launcher",
    "hydra/launcher=submitit_local": "hydra-submitit-launcher",
    "hydra/launcher=submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher=ray": "hydra-ray-launcher",
}

OPEN = ("data.", "sampling.")  # settings that apply.py accepts unchecked: those of the run, which check them


@contextmanager
def _messages_only(name: str) -> Iterator[None]:
    """A context in which Hydra reports refusals and composition errors of `name` by a message without a traceback."""
    report = utils.run_and_report

    def run_and_report(call: Callable[[], Any]) -> Any:
        def explained() -> Any:
            try:
                return call()
            except Exception as error:
                refusal = refusal_in(error)
                sentence = str(refusal) if refusal else words.explain(error, name, sys.argv[1:])
                if sentence is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
                    raise
                print(sentence, file=sys.stderr)
                raise SystemExit(1) from None

        from vaekit import words

        return report(explained)

    utils.run_and_report = run_and_report  # type: ignore[assignment]
    try:
        with refusals_alone():
            yield
    finally:
        utils.run_and_report = report


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def _train(config: DictConfig) -> float | None:
    from vaekit.sweep_jobs import run_job  # imported here: tab completion should not wait for torch
    from vaekit.training.run import run

    return checked(run_job if HydraConfig.get().mode == RunMode.MULTIRUN else run, config)


def train() -> None:
    """Train one VAE, evaluate it, and leave a run folder; the optimized metric is returned to a sweeper."""
    if answer(sys.argv[1:], "Train one VAE, evaluate it, and leave a run folder."):
        return
    for word in ENGINES.keys() & sys.argv[1:]:
        try:
            version(ENGINES[word])
        except PackageNotFoundError:
            extra = "ray" if word.endswith("ray") else "sweep"
            raise SystemExit(f"{word} needs {ENGINES[word]}; type: pip install '.[{extra}]'") from None
    try:
        refuse_numbers(sys.argv[1:])
        stopped = folders.requeued(sys.argv[1:])
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from None
    if stopped:
        folder, words = stopped
        print(f"SLURM has queued this job again: it continues in {folder}.")
        sys.argv += words
    with ExitStack() as stack:
        if "--dry-run" in sys.argv:  # which keeps no files
            scratch = stack.enter_context(TemporaryDirectory())
            sys.argv.remove("--dry-run")
            sys.argv += ["dry_run=true", f"hydra.run.dir='{scratch}'", "hydra.output_subdir=null"]
        if "--find-lr" in sys.argv:
            sys.argv.remove("--find-lr")
            sys.argv += ["find_lr=true"]
        stack.enter_context(folders.CLAIMED)
        stack.enter_context(_messages_only("train"))
        _train()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="apply")
def _apply(config: DictConfig) -> None:
    from vaekit.apply import run

    checked(run, config, unchecked=tuple(f"++{each}" for each in OPEN))


def mark_open(words: Sequence[str]) -> list[str]:
    """Words of apply.py with those of `OPEN` marked for Hydra: it must accept all until the run is read.

    Args:
        words: As they are typed.

    Example:
        >>> mark_open(["task=score", "data.root=images"])
        ['task=score', '++data.root=images']
    """
    return [f"++{word}" if word.startswith(OPEN) else word for word in words]


def apply() -> None:
    """Use a trained VAE: one task, whose results go into the run's folder."""
    if answer(sys.argv[1:], "Use a trained VAE: one task, whose results go into the run's folder.", "task"):
        return
    try:
        refuse_numbers(sys.argv[1:])
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from None
    sys.argv[1:] = mark_open(sys.argv[1:])
    with _messages_only("apply"):
        _apply()
