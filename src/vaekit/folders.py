"""The folder of a run, which belongs to that run alone. Imports no torch, so tab completion is fast."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml
from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.sweep_summary import find_done, own

OUTPUTS = Path("outputs")
STAMPS = itertools.count()  # number of runs that this process has named; all processes of a run count the same
CLAIMED = ExitStack()  # locks of the folders of the current command


def stamp() -> str:
    """The name of a new run. It includes microseconds, so that two runs in one second do not share a folder.

    Processes that srun or torchrun started are one run, and agree on a name. The name of a SLURM job begins with its
    number. If VAEKIT_STAMP is set, it is the name.
    """
    now, job, number = datetime.now(), os.environ.get("SLURM_JOB_ID"), next(STAMPS)
    if exported := os.environ.get("VAEKIT_STAMP"):
        return exported
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return f"slurm/{job}-{os.environ['SLURM_STEP_ID']}" + (f"-{number}" if number else "")
    name = f"slurm/{job}-{now:%Y-%m-%d-%H-%M-%S-%f}" if job else f"{now:%Y-%m-%d/%H-%M-%S-%f}"
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        from torch.distributed import TCPStore

        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        return store.compare_set(f"vaekit_stamp_{number}", "", name).decode()  # the stamp of the first process
    return name


def first_process() -> bool:
    """Whether this is the only or the first process of a run."""
    return all(os.environ.get(rank, "0") == "0" for rank in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def run_folder(ckpt_path: str | None, stamp: str) -> str:
    """The folder in which a run writes: a new one, or that of the checkpoint from which it resumes.

    Args:
        ckpt_path: The setting `ckpt_path`; None for a new run.
        stamp: Date and time, for the name of a new folder.
    """
    if ckpt_path is None:
        return f"{OUTPUTS}/{stamp}"
    from vaekit.checkpoints import find_checkpoint

    try:
        return str(find_checkpoint(str(ckpt_path)).parent.parent)
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from None  # OmegaConf wraps all other exceptions of a resolver


def job_folder(sweep: str, number: int, overrides: Sequence[str]) -> str:
    """The folder of a job of a multirun: its number and its overrides, in characters that need no quotes.

    If the same job was done already, under any number, it is the folder of that job.

    Args:
        sweep: Folder of the multirun.
        number: Number of the job.
        overrides: Overrides of the job.
    """
    name = re.sub(r"[^\w.+-]+", "-", "_".join(sorted(own(overrides)))).rstrip("-_")
    if len(name) > 110:
        name = f"{name[:101]}-{crc32(name.encode()):08x}"
    done = find_done(Path(sweep), overrides, name)
    return done.name if done else f"{number}_{name}".rstrip("_")


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


# cached, as Hydra's own `now`: one configuration, and all jobs of a sweep, have one stamp
OmegaConf.register_new_resolver("stamp", stamp, use_cache=True, replace=True)
OmegaConf.register_new_resolver("wandb_run", wandb_run, replace=True)
OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
# a resumed run keeps its first .hydra/, whose overrides compose its model
OmegaConf.register_new_resolver("hydra_folder", lambda ckpt_path: None if ckpt_path else ".hydra", replace=True)


def check_new(folder: Path) -> None:
    """Check that a folder holds no run that a new one would overwrite.

    Args:
        folder: The folder.

    Raises:
        Refusal: If it holds a run with a checkpoint or results.
    """
    if left := [*folder.glob("checkpoints/*.ckpt"), *folder.glob("model.safetensors"), *folder.glob("metrics.json")]:
        raise Refusal(
            f"{folder} holds a run already ({left[0].relative_to(folder)}). Go on with it: "
            f"{typed('ckpt_path', folder / 'checkpoints' / 'last.ckpt')}, or give another hydra.run.dir=FOLDER."
        )


def check_own(folder: Path, *names: str) -> None:
    """Check that files of a folder are not links, which lead to other folders.

    Args:
        folder: The folder.
        names: Names in the folder; none for all.

    Raises:
        Refusal: If one of them is a link.
    """
    for path in [folder / name for name in names] or sorted(folder.iterdir()):
        if path.is_symlink():
            raise Refusal(
                f"{path} is a link to {path.readlink()}; a run writes into its own folder alone. "
                "Copy the run with what its links lead to (cp -rL), and use the copy."
            )


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """A context in which no other run can write into a folder.

    The processes of one run count as one: the first has the lock, which the system releases when that process dies.

    Args:
        folder: The folder.

    Raises:
        Refusal: If another run is writing there.
    """
    if not first_process():
        yield
        return
    check_own(folder)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Refusal(
            f"Another process is training in {folder}. Wait until it has ended, or give another hydra.run.dir=FOLDER."
        ) from None
    except (OSError, NotImplementedError):  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        (folder / ".lock").unlink(missing_ok=True)
        lock.release()


def requeued(words: Sequence[str]) -> tuple[Path, list[str]] | None:
    """How to continue a SLURM job that was queued again.

    Args:
        words: Words of the command line.

    Returns:
        The folder in which the job stopped, and the words with which the same command continues there; None for a first
        start.

    Raises:
        Refusal: If the overrides in a folder, in which it may have stopped, cannot be read.
    """
    given = dict(word.split("=", 1) for word in words if "=" in word)
    if os.environ.get("SLURM_RESTART_COUNT", "0") == "0" or given.get("ckpt_path", "null") != "null":
        return None
    job = f"slurm/{os.environ.get('SLURM_JOB_ID')}-*"
    if {"-m", "--multirun"} & {*words}:
        sweeps = [] if "hydra.sweep.dir" in given else sorted((OUTPUTS / "multirun").glob(job))
        return (sweeps[0], [f"hydra.sweep.dir='{sweeps[0]}'"]) if sweeps else None
    task = sorted(word for word in words if not word.startswith(("hydra", "-")))
    folders = [Path(given["hydra.run.dir"])] if "hydra.run.dir" in given else sorted(OUTPUTS.glob(job))
    started = {folder: read_words(folder) for folder in folders if (folder / "checkpoints" / "last.ckpt").is_file()}
    for folder, overrides in started.items():
        if overrides == task:
            return folder, [f"ckpt_path='{folder / 'checkpoints' / 'last.ckpt'}'"]
    for folder in (folder for folder, overrides in started.items() if overrides is None):
        raise Refusal(
            f"SLURM has queued this job again, but {folder}/.hydra/overrides.yaml is missing or damaged, so that it is "
            "unknown whether the job stopped there. If it did, repeat the overrides with "
            f"{typed('ckpt_path', folder / 'checkpoints' / 'last.ckpt')}; else with hydra.run.dir=FOLDER."
        )
    return None


def read_words(folder: Path) -> list[str] | None:
    """The overrides with which a run was started, sorted.

    Args:
        folder: Folder of the run.

    Returns:
        None if their file is missing or damaged.
    """
    try:
        words = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
    return sorted(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


class WritableFolder(Callback):
    """Creates and locks the folder before Hydra does, which would fail with a traceback if it is not writable."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config["dry_run"]:
            return
        folder = self._make(config.hydra.run.dir, "hydra.run.dir")
        ckpt_path = config["ckpt_path"]
        try:
            if first_process() and (ckpt_path is None or Path(run_folder(ckpt_path, "")) != folder.resolve()):
                check_new(folder)
            CLAIMED.enter_context(claim(folder))
        except Refusal as refusal:  # an exception of a Hydra callback would only be a warning
            raise SystemExit(str(refusal)) from None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._make(config.hydra.sweep.dir, "hydra.sweep.dir")

    def _make(self, folder: str, key: str) -> Path:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(None, "Permission denied")
        except OSError as error:
            raise SystemExit(f"Cannot write to {folder}: {error.strerror}; give another {key}=FOLDER.") from None
        return Path(folder)
