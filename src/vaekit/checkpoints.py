"""Checkpoints to resume from: finding, reading and checking them without running code from them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from omegaconf import DictConfig, OmegaConf

from vaekit import run_files, runs, spaces
from vaekit.overrides import typed
from vaekit.refusal import Refusal, reason

FIXED_SECTIONS = (
    "space",
    "network",
    "posterior",
    "prior",
    "latents",
    "likelihood",
    "condition",
    "objective",
    "penalty",
    "privacy",
    "seed",
)
CALL = (
    "ckpt_path",
    "init_from",
    "run_dir",
    "dry_run",
    "find_lr",
    "traceback",
)  # of a command

log = logging.getLogger(__name__)


def last_checkpoint(outputs: Path = runs.OUTPUTS) -> Path | None:
    """The checkpoint that was written last, by any run, finished or not.

    Args:
        outputs: Folder of all runs.

    Returns:
        None if there is none.
    """
    found = [path for path in outputs.glob("**/checkpoints/last.ckpt") if "latest" not in path.parts]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def find_checkpoint(ckpt_path: str, outputs: Path = runs.OUTPUTS) -> Path:
    """The checkpoint to resume from.

    Args:
        ckpt_path: A checkpoint in a run folder; `last` for the newest one.
        outputs: Folder of all runs, for `last`.

    Raises:
        Refusal: If there is none.
    """
    found = last_checkpoint(outputs) if ckpt_path == "last" else Path(ckpt_path)
    if found is None or not os.path.isfile(found) or found.parent.name != "checkpoints":
        siblings = [] if found is None or found.parent.name != "checkpoints" else sorted(found.parent.glob("*.ckpt"))
        newest = next(iter(siblings), last_checkpoint(outputs)) or "outputs/<date>/<time>/checkpoints/last.ckpt"
        raise Refusal(
            f"ckpt_path={ckpt_path} is not a checkpoint in the folder of a run; give a file such as "
            f"{typed('ckpt_path', newest)}, or leave it out to train from the start."
        )
    return found.resolve()  # `latest` may point to another run later


def read_checkpoint(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """The contents of a checkpoint. No code in it is run.

    torch.save writes a CRC-32 of each tensor, which torch.load does not compare; here it is compared.

    Args:
        path: The file.
        device: Where tensors are loaded; `meta` for shapes alone.

    Raises:
        Refusal: If the file is cut off, or a bit of it has changed.
    """
    try:
        with ZipFile(path) as archive:
            whole = all(member.compress_type == ZIP_STORED for member in archive.infolist())
            if not whole or (broken := archive.testzip()):
                raise BadZipFile(f"bad checksum of {broken}" if whole else "compressed")
        return torch.load(path, map_location=device, weights_only=True, mmap=str(device) == "meta")
    except Exception as error:  # a broken file can raise nearly anything
        others = [each for each in sorted(path.parent.glob("*.ckpt")) if each != path]
        another = "there is no other checkpoint, so train the run again"
        other = f"resume from another: {typed('ckpt_path', others[0])}" if others else another
        raise Refusal(f"{path} is damaged ({reason(error)}); {other}.") from error


@contextmanager
def restoring(checkpoint: Path | None, is_done: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """A context in which an exception becomes a `Refusal` of a checkpoint.

    Args:
        checkpoint: The file; None for no change.
        is_done: Whether the checkpoint has been read completely, after which exceptions stay as they are.

    Raises:
        Refusal: That says that the checkpoint is not valid.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if checkpoint is None or is_done() or isinstance(error, Refusal | torch.OutOfMemoryError):
            raise
        raise Refusal(
            f"{checkpoint} is not a valid checkpoint ({type(error).__name__}: {reason(error)}). "
            "Resume from another checkpoint of the run, or train it again."
        ) from error


def check_resumption(
    checkpoint: Path, config: dict[str, Any], space: spaces.Space, data: dict[str, Any] | None = None
) -> None:
    """Check that a configuration continues the run that wrote a checkpoint.

    Model, objective, data and seed must be the same, and steps must remain. The length of the training, learning rate,
    clipping, batch size and logging may change, except for the batch size within an epoch.

    Args:
        checkpoint: The file.
        config: The new configuration, resolved.
        space: Space of x.
        data: State of the data module.

    Raises:
        Refusal: If something else has changed.
    """
    folder = checkpoint.parent.parent
    state = read_checkpoint(checkpoint, "meta")
    if not (folder / "config.yaml").is_file():
        return
    try:
        before = runs.parse_config(folder / "config.yaml")
    except Refusal as refusal:
        raise Refusal(
            f"{folder}/config.yaml is damaged; delete it to resume without comparing configurations."
        ) from refusal
    now = runs.parse_yaml(run_files.describe(config, space))
    another = f"To start a new run from its weights: {typed('init_from', folder)}"
    then = state.get("DataModule")
    if data is not None and then is not None and then != data:
        what = ", ".join(sorted(name for name in {**then, **data} if then.get(name) != data.get(name)))
        raise Refusal(
            f"These are not the data that the run of {checkpoint} was trained on (other {what}). "
            f"Resume with the same data. {another}, with any data=..."
        )
    if fixed := list(_changes(_fixed(before), _fixed(now))):
        parts = dict.fromkeys(key.partition(".")[0] for key, _ in fixed)
        settings = [f"{key}={json.dumps(then)}" if isinstance(then, int | float) else key for key, then in fixed]
        raise Refusal(
            f"The run of {checkpoint} was composed with another {' and '.join(parts)} ({', '.join(settings[:5])}). "
            f"Repeat the overrides of that run. {another}."
        )
    batches, size = state["loops"]["fit_loop"]["epoch_loop.batch_progress"], before["data"].get("batch_size")
    if batches["current"]["ready"] and not batches["is_last_batch"] and size != now["data"].get("batch_size"):
        raise Refusal(
            f"{checkpoint} was written within an epoch, in which the position is a number of batches of {size} rows. "
            f"Repeat {typed('data.batch_size', size)}; it can be changed at the end of an epoch."
        )
    trained, epochs = state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"], now["trainer"]["max_epochs"]
    if runs.is_finished(folder) and epochs is not None and 0 <= epochs <= trained:
        raise Refusal(
            f"{folder} is finished: it has trained {trained} epochs, and trainer.max_epochs={epochs}. To train it "
            f"longer: trainer.max_epochs={2 * trained or 1}. {another}."
        )


def log_changes(checkpoint: Path, config: DictConfig) -> None:
    """Log the settings of a resumed run that differ from those that it had.

    Args:
        checkpoint: The file; `check_resumption` has accepted it.
        config: The new configuration.
    """
    file = checkpoint.parent.parent / "config.yaml"
    if not file.is_file():
        return
    before = {key: value for key, value in runs.parse_config(file).items() if key not in (*CALL, "space")}
    now: Any = OmegaConf.to_container(config, resolve=True)
    changed = _changes(before, {key: value for key, value in now.items() if key not in CALL})
    typed_ones = [(key, then) for key, then in changed if not _is_derived(key, config)]
    if typed_ones:
        words = ", ".join(f"{typed(key, OmegaConf.select(config, key))} (before: {then})" for key, then in typed_ones)
        log.info(f"From now on this run has other settings than before: {words}.")


def _is_derived(key: str, config: DictConfig) -> bool:
    """Whether another setting sets it."""
    names = key.split(".")
    places = (".".join(names[:depth]) for depth in range(len(names)))
    nodes = (OmegaConf.select(config, place) if place else config for place in places)
    return any(
        isinstance(node, DictConfig) and name in node and OmegaConf.is_interpolation(node, name)
        for node, name in zip(nodes, names, strict=True)
    )


def _fixed(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that a resumed run may not change. Of the optimizer only its class, not its settings."""
    optimizer = config.get("optimizer") or {}
    kinds = {name: (optimizer.get(name) or {}).get("_target_") for name in ("algorithm", "decay")}
    return {part: config.get(part) for part in FIXED_SECTIONS} | {
        "freeze": config.get("freeze") or [],
        "optimizer": kinds,
    }


def _changes(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys whose values differ, and their values before."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _changes(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif before != now:
        yield path, before
