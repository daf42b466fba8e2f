"""The two commands, `train.py` and `apply.py`: they let Hydra compose the configuration, then call one function.

A `Refusal` is printed without a traceback; `debug=true` or HYDRA_FULL_ERROR=1 shows it.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
from hydra._internal import utils
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vaekit import folders
from vaekit.configs import CONF
from vaekit.flags import answer
from vaekit.refusal import Refusal, refusal_in

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
OPEN = "++data."  # what apply.py lets pass, and a run's data then refuse


def wandb_run(ckpt_path: str | None, folder: str) -> str | None:
    """The W&B run to continue, if a run is resumed.

    Args:
        ckpt_path: The setting `ckpt_path`; None for a new run.
        folder: Folder of the run.

    Returns:
        Name of the W&B run; None for a new one.
    """
    left = sorted(Path(folder).glob("wandb/*run-*/run-*.wandb"), key=os.path.getmtime) if ckpt_path else []
    return left[-1].stem.removeprefix("run-") if left else None


OmegaConf.register_new_resolver("wandb_run", wandb_run, replace=True)


def _refusing(call: Callable[[DictConfig], Any], config: DictConfig, unchecked: str | None = None) -> Any:
    """Call it, unless nothing reads a word of the command line; a `Refusal` comes out as itself, whatever wraps it.

    unchecked: how words begin that `call` checks.
    """
    from vaekit.processors import limit_threads
    from vaekit.words import check_read

    limit_threads()
    job = HydraConfig.get()
    words = [word for word in job.overrides.task if not (unchecked and word.startswith(unchecked))]
    try:
        check_read(config, str(job.job.config_name), words)
        return call(config)
    except Exception as error:
        if (refusal := refusal_in(error)) is None:
            raise
        if config.get("debug"):
            traceback.print_exc()
        raise refusal from None


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Within, Hydra reports a refusal, and words that `name` cannot be composed of, by a sentence and nothing else."""
    report, outcome = utils.run_and_report, vars(JobReturn)["return_value"]

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

    def return_value(job: JobReturn) -> Any:
        if isinstance(job._return_value, Refusal):
            raise job._return_value  # which Hydra would put a line before
        return outcome.fget(job)

    def put(report: Any, outcome: Any) -> None:
        utils.run_and_report, JobReturn.return_value = report, outcome  # type: ignore[method-assign]

    put(run_and_report, property(return_value, outcome.fset))
    try:
        yield
    finally:
        put(report, outcome)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def _train(config: DictConfig) -> float | None:
    from vaekit.sweep_jobs import run_job  # imported here: tab completion should not wait for torch
    from vaekit.training.run import run

    return _refusing(run_job if HydraConfig.get().mode == RunMode.MULTIRUN else run, config)


def refuse_numbers(words: Sequence[str]) -> None:
    """Refuse a number or null as the choice of a group, which Hydra would answer with a traceback.

    Args:
        words: Words of the command line.

    Raises:
        SystemExit: With a sentence.

    Example:
        >>> from vaekit.commands import refuse_numbers
        >>> refuse_numbers(["model=beta_vae", "seed=3"])
    """
    for word in words:
        key, _, choice = word.partition("=")
        group = key.lstrip("+").partition("@")[0]
        if group and (CONF / group).is_dir() and re.fullmatch(r"null|[-+]?[\d.]+", choice):
            names = sorted(file.stem for file in (CONF / group).glob("[!_]*.yaml"))
            none = f", or {NONE[group]} for none" if group in NONE else ""
            raise SystemExit(f"Got {word}, expected one of {', '.join(names)}; use {key}={names[0]}{none}.")


def train() -> None:
    """Train one VAE, evaluate it, and leave a run folder; the optimised metric is returned to a sweeper."""
    if answer(sys.argv[1:], "Train one VAE, evaluate it, and leave a run folder."):
        return
    refuse_numbers(sys.argv[1:])
    for word in ENGINES.keys() & sys.argv[1:]:
        try:
            version(ENGINES[word])
        except PackageNotFoundError:
            extra = "ray" if word.endswith("ray") else "sweep"
            raise SystemExit(f"{word} needs {ENGINES[word]}; type: pip install '.[{extra}]'") from None
    try:
        stopped = folders.requeued(sys.argv[1:])
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from None
    if stopped:
        folder, words = stopped
        print(f"SLURM has queued this job again: it goes on in {folder}.")
        sys.argv += words
    with ExitStack() as stack:
        if "--dry-run" in sys.argv:  # which writes nothing that stays
            scratch = stack.enter_context(TemporaryDirectory())
            sys.argv.remove("--dry-run")
            sys.argv += ["dry_run=true", f"hydra.run.dir='{scratch}'", "hydra.output_subdir=null"]
        stack.enter_context(folders.CLAIMED)
        stack.enter_context(_sentences("train"))
        _train()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="apply")
def _apply(config: DictConfig) -> None:
    from vaekit.apply import run

    _refusing(run, config, unchecked=OPEN)


def apply() -> None:
    """Use a trained VAE: one task, whose results go into the run's folder."""
    if answer(sys.argv[1:], "Use a trained VAE: one task, whose results go into the run's folder.", "task"):
        return
    refuse_numbers(sys.argv[1:])
    # which settings the run's data have is known when the run is read; until then Hydra must let them all pass
    sys.argv[1:] = [f"++{word}" if word.startswith(OPEN.lstrip("+")) else word for word in sys.argv[1:]]
    with _sentences("apply"):
        _apply()
