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
from vaekit.tasks.shared.context import open_run


@denormals.flushed()
def run(config: DictConfig) -> None:
    """Load a run and do one task with it.

    The results go into `<run>/tasks/<task>/` when the task has ended, and nowhere else.

    Args:
        config: The composed configuration.

    Raises:
        Refusal: If the run cannot be loaded or its folder written to, and where the task refuses.
    """
    memory.keep_freed()
    plain: Any = OmegaConf.to_container(config, resolve=True)
    within("seed", plain["seed"], 0)
    one_of("precision", plain["precision"], ("32-true", "bf16-mixed"))
    flag("spreadsheet", plain["spreadsheet"])
    task = instantiate(plain["task"], _partial_=True)
    name = task.func.__name__
    known = list(signature(task.func).parameters)[1:]  # less the context
    if unknown := task.keywords.keys() - known:
        raise Refusal(f"task={name} has no setting {unknown.pop()}; use task.{', task.'.join(known)}.")
    folder = runs.find(plain["run"]).resolve()  # outputs/latest may move on while the task works
    out = folder / "tasks" / name
    check_own(folder, "tasks", f"tasks/{name}")
    try:
        out.parent.mkdir(exist_ok=True)
        unfinished = TemporaryDirectory(prefix=f".{name}-", dir=out.parent)
    except OSError as error:
        raise Refusal(f"Cannot write to {out.parent} ({error.strerror}); copy the run, and give run=COPY.") from error
    full = within_limits("Try a smaller batch_size=8.", "Then repeat the command.")
    with full, unfinished:  # a task that fails leaves the files of an earlier call as they were
        settings = {key: plain[key] for key in ("device", "batch_size", "data", "trust", "spreadsheet")}
        context = open_run(folder, unfinished.name, **settings)
        if (label := task.keywords.get("label")) is not None:
            task = partial(task, label=context.class_number(label))
        torch.manual_seed(plain["seed"])
        halved = plain["precision"] == "bf16-mixed"
        # without the cache, which would keep the weights that a task starts from while it fits them
        with torch.autocast(context.vae.device.type, torch.bfloat16, enabled=halved, cache_enabled=False):
            task(context)
        for file in sorted(Path(unfinished.name).iterdir()):
            out.mkdir(exist_ok=True)
            if (out / file.name).is_dir():
                shutil.rmtree(out / file.name)
            done = file.replace(out / file.name)
            here = done.is_relative_to(Path.cwd())
            Console().print(done.relative_to(Path.cwd()) if here else done, soft_wrap=True, highlight=False)
