"""Applies a task to a run folder."""

from __future__ import annotations

import shutil
from functools import partial
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from vaekit import denormals, memory, runs
from vaekit.folders import check_own
from vaekit.limits import within_limits
from vaekit.refusal import Refusal
from vaekit.tasks.shared.checks import flag, one_of, within
from vaekit.tasks.shared.context import FILE, open_run


def run(config: DictConfig) -> None:
    """Run the task of the command line, and print the files that it wrote.

    Args:
        config: Composed of conf/apply.yaml.

    Raises:
        Refusal: As `perform`.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    flag("spreadsheet", plain["spreadsheet"])
    settings = {key: plain[key] for key in ("device", "batch_size", "data", "sampling", "trust", "spreadsheet")}
    task = instantiate(plain["task"], _partial_=True)
    _, files = perform(task, plain["run"], plain["seed"], plain["precision"], **settings)
    for file in files:
        here = file.is_relative_to(Path.cwd())
        Console().print(file.relative_to(Path.cwd()) if here else file, soft_wrap=True, highlight=False)


@denormals.flushed()
def perform(
    task: partial[Any], folder: str | Path, seed: int = 1, precision: str = "32-true", **settings: Any
) -> tuple[Any, list[Path]]:
    """Load a run and run one task, whose files are moved into `<run>/tasks/<task>/` when it is done.

    Args:
        task: A function of a `Context`, with its own settings.
        folder: Of a finished run.
        seed: Of everything that the task draws.
        precision: 32-true, or bf16-mixed for faster networks.
        settings: See `open_run`.

    Returns:
        What the task returns, and its files.

    Raises:
        Refusal: If the run cannot be loaded or written to, or the task refuses.
    """
    memory.keep_freed()
    within("seed", seed, 0)
    one_of("precision", precision, ("32-true", "bf16-mixed"))
    name = task.func.__name__
    parameters = dict(list(signature(task.func).parameters.items())[1:])  # without the context
    if unknown := task.keywords.keys() - parameters.keys():
        raise Refusal(f"task={name} has no setting {unknown.pop()}; use task.{', task.'.join(parameters)}.")
    named = any(parameters[each].annotation == FILE for each, given in task.keywords.items() if given is not None)
    folder = runs.find(folder).resolve()  # outputs/latest may change while the task runs
    out = folder / "tasks" / name
    check_own(folder, "tasks", f"tasks/{name}")
    try:
        out.parent.mkdir(exist_ok=True)
        unfinished = TemporaryDirectory(prefix=f".{name}-", dir=out.parent)
    except OSError as error:
        raise Refusal(f"Cannot write to {out.parent} ({error.strerror}); copy the run, and give run=COPY.") from error
    full = within_limits("Try a smaller batch_size=8.", "Then repeat the command.")
    with full, unfinished:  # a task that fails does not change the files of an earlier call
        context = open_run(folder, unfinished.name, named=named, **settings)
        if (label := task.keywords.get("label")) is not None:
            task = partial(task, label=context.class_number(label))
        torch.manual_seed(seed)
        halved = precision == "bf16-mixed"
        # without the autocast cache, which would keep outdated weights while a task trains
        with torch.autocast(context.vae.device.type, torch.bfloat16, enabled=halved, cache_enabled=False):
            returned = task(context)
        return returned, [_put(file, out) for file in sorted(Path(unfinished.name).iterdir())]


def _put(file: Path, folder: Path) -> Path:
    """Move a file or folder into `folder`, and replace an older one."""
    folder.mkdir(exist_ok=True)
    if (folder / file.name).is_dir():
        shutil.rmtree(folder / file.name)
    return file.replace(folder / file.name)
