"""vaekit in Python: what train.py and apply.py do, on the same configurations and the same run folders."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig

from vaekit import folders, in_memory, runs
from vaekit.finished_run import Run
from vaekit.hydra_job import ALONE, check_working_folder, compose, run_here, spell
from vaekit.in_memory import Container
from vaekit.limits import within_limits
from vaekit.overrides import PLACES, setting_of
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal, refusals_in_python
from vaekit.runs import OUTPUTS, load
from vaekit.spaces import Space
from vaekit.training.privacy import check_no_privacy
from vaekit.training.run import run as train_run
from vaekit.vae import VAE

__all__ = ["Run", "build", "fit", "load", "open", "train"]


@refusals_in_python()
def train(*overrides: str | Mapping[str, Any], **settings: Any) -> Run:
    """Train a VAE, as `python train.py` does with the same words, in a new run folder.

    Args:
        overrides: Words of the command line, `"model=conv_vae"`, or settings by name, `{"trainer.max_epochs": 5}`.
        settings: More of these, whose names have no dot: `seed=2`, `data="mnist"`. With `ckpt_path` that run goes on
            in its folder; repeat the words that it was started with, `run.words`.

    Returns:
        The finished run.

    Raises:
        Refusal: With the message that the command prints.
        KeyboardInterrupt: On Ctrl-C, or when a notebook interrupts its kernel. The message says how to resume.

    Example:
        >>> import vaekit
        >>> run = vaekit.train("model=mlp_vae", {"trainer.max_epochs": 1}, data="digits")  # doctest: +SKIP
        >>> run.sample(16).shape  # doctest: +SKIP
        (16, 1, 8, 8)
    """
    words = spell(*overrides, settings)

    def job(config: DictConfig) -> Path:
        folder = Path(HydraConfig.get().runtime.output_dir)
        started.append(folder)
        train_run(config)
        return folder

    started: list[Path] = []
    with restored_state():
        try:
            folder = run_here("train", job, words)
        except (SystemExit, KeyboardInterrupt):  # the first is raised by Lightning on an interruption
            raise KeyboardInterrupt(_how_to_go_on(started, words)) from None
    if not runs.is_finished(folder):
        raise Refusal(
            "No run was left to open: dry_run, find_lr and debug=fast keep nothing. Leave them out to train one."
        )
    return open(folder)


def _how_to_go_on(started: list[Path], words: list[str]) -> str:
    last = started[0] / "checkpoints" / "last.ckpt" if started else Path()
    if started and runs.is_finished(started[0]):
        return f"Training and test were finished before the interruption. Use vaekit.open({str(started[0])!r})."
    if not last.is_file():
        return "No epoch was finished, so there is nothing to resume. Repeat the call to start again."
    kept = [f"{word!r}, " for word in words if setting_of(word) not in PLACES]
    return f"Resume with vaekit.train({''.join(kept)}ckpt_path={str(last)!r})."


@refusals_in_python()
def fit(
    x: Any,
    *overrides: str | Mapping[str, Any],
    labels: Any = None,
    store_data: bool = True,
    **settings: Any,
) -> Run:
    """Train a VAE on rows in memory, in a new run folder.

    Args:
        x: An array or tensor `[N, D]`, `[N, H, W]`, or with 1 or 3 channels `[N, C, H, W]` or `[N, H, W, C]`, of any
            library by `__array__` or `__dlpack__`: images are uint8, bool, or floats from 0 to 1; NaN is missing. A
            DataFrame of pandas or polars, another table with `__arrow_c_stream__`, or a dict of columns. A list of
            sentences. A list of image or sound files. A path of such a file, or of a folder. A `datasets.Dataset`, or
            a DatasetDict with its splits: images come back as arrays, sentences as lists, tables as DataFrames.
        overrides: As of `train`; without `model=` one that fits these rows is chosen.
        labels: The class of each row `[N]`: whole numbers from 0, text, booleans or categories; -1, NaN or None where
            it is missing. Of a table the name of its column, or these, which become the column `label`.
        store_data: Whether to keep a copy of the rows in the folder, for tasks that read the training data. Otherwise
            the run only has their checksum.
        settings: As of `train`.

    Returns:
        The finished run. Its methods return rows in the container type of `x`: DataFrame, numpy or torch.

    Raises:
        Refusal: As `train`, and for rows of another type.

    Example:
        >>> import torch, vaekit
        >>> x = torch.randn(200, 5)
        >>> run = vaekit.fit(x, {"trainer.max_epochs": 1})  # doctest: +SKIP
        >>> run.sample(3).shape  # doctest: +SKIP
        torch.Size([3, 5])
    """
    rows, words = in_memory.convert(x), spell(*overrides, settings)
    labels = in_memory.as_labels(labels, x, rows)
    given = set(map(setting_of, words))
    if taken := given & {"ckpt_path", "hydra.run.dir"}:
        raise Refusal(f"Got {taken.pop()}, but vaekit.fit starts a run in a new folder. Use vaekit.train for others.")
    check_working_folder()
    folder = (OUTPUTS / folders.stamp()).resolve()
    try:
        with in_memory.named({folder / "data": "x"}):
            with within_limits("Try fewer rows.", "Then repeat the call."):
                data = in_memory.write(rows, folder / "data", labels)
            run = train({"hydra.run.dir": folder, **_not_chosen(data, words)}, *words)
    except (Refusal, KeyboardInterrupt) as end:
        if not (folder / "checkpoints").is_dir():  # nothing was trained
            shutil.rmtree(folder, ignore_errors=True)
        elif isinstance(end, KeyboardInterrupt) and not store_data and not runs.is_finished(folder):
            raise KeyboardInterrupt("The run has no rows to resume with (store_data=False). Train again.") from None
        raise
    finally:
        if not store_data:
            shutil.rmtree(folder / "data", ignore_errors=True)
    run.container = Container.of(x, rows, run.vae.space)
    return run


@refusals_in_python()
def open(
    run: str | Path = OUTPUTS / "latest",
    device: str = "auto",
    batch_size: int | None = None,
    data: Mapping[str, Any] | None = None,
    trust: Collection[str] = (),
    sampling: Mapping[str, Any] | None = None,
) -> Run:
    """A finished run.

    Args:
        run: Its folder.
        device: Device for tasks: auto, cpu, cuda or mps.
        batch_size: Number of rows on the device at once; None for that of evaluation in the run.
        data: Settings of its data to change, e.g. `{"root": "/data"}`.
        trust: Your own classes that its configuration may name, e.g. `["my_package.MyPrior"]`.
        sampling: Settings of how its prior draws to change, e.g. `{"steps": 50}` of prior=flow_matching.

    Raises:
        Refusal: If the folder holds no finished run.

    Example:
        >>> import vaekit
        >>> run = vaekit.open("outputs/latest")  # doctest: +SKIP
        >>> run.metrics["test/nll"], run.evaluate(num_samples=5000)["nll"]  # doctest: +SKIP
    """
    changes: dict[str, Any] = {"data": dict(data or {}), "sampling": dict(sampling or {})}
    return Run(run, device=device, batch_size=batch_size, trust=trust, **changes)


@refusals_in_python()
def build(space: Space, *overrides: str | Mapping[str, Any], **settings: Any) -> VAE:
    """Build an untrained VAE, for your own training loop.

    Args:
        space: The space of x, one of `vaekit.spaces`.
        overrides: As of `train`; without `model=` and `likelihood=` those that fit this space are chosen. Words of
            data, trainer and logger have no effect.
        settings: As of `train`.

    Returns:
        The VAE, in training mode. `vae.loss(x)` is the loss of the chosen objective.

    Raises:
        Refusal: For a combination of parts that does not fit, for `privacy=dp`, and for anything but a space.

    Example:
        >>> import torch, vaekit
        >>> from vaekit.spaces import Real
        >>> vae = vaekit.build(Real((5,)), "prior=vamp", "latents.dim=2")
        >>> vae.loss(torch.randn(8, 5)).shape
        torch.Size([])
    """
    if not isinstance(space, Space):
        raise Refusal(
            f"Got a {type(space).__name__} as the space of x, expected one of vaekit.spaces. "
            "Use vaekit.spaces.Image((1, 28, 28)) for images, vaekit.spaces.Real((5,)) for rows of 5 numbers."
        )
    words = spell(*overrides, settings)
    config = compose("train", [*spell(_not_chosen(in_memory.choices(space), words)), *words])
    check_no_privacy(config)
    vae, objective, _ = Plan.read(config, space).build()
    vae.objective = objective
    return vae


def _not_chosen(choices: Mapping[str, Any], words: list[str]) -> dict[str, Any]:
    """The choices that words leave open; an experiment chooses the model."""
    given = set(map(setting_of, words))
    given |= {"model"} if "experiment" in given else set()
    return {name: value for name, value in choices.items() if name not in given}


@contextmanager
def restored_state() -> Iterator[None]:
    """A context that restores what training sets for the whole process: seeds, environment, warnings, and the lock of
    its folder. One thread trains at a time.
    """
    with ALONE:
        environment, deterministic = dict(os.environ), torch.are_deterministic_algorithms_enabled()
        try:
            with isolate_rng(), warnings.catch_warnings(), folders.CLAIMED:
                yield
        finally:
            torch.use_deterministic_algorithms(deterministic)
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)
