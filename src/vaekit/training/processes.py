"""The child processes of Lightning under Hydra: one folder and one configuration for all processes of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch.distributed
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.strategies.launchers import subprocess_script

from vaekit.overrides import spelled


def child_command(folder: Path, checkpoint: Path | None, local_rank: int) -> tuple[Sequence[str], str]:
    """The command that runs one job, and no other job of a sweep, in a child process.

    Args:
        folder: Folder of the run.
        checkpoint: Checkpoint to resume from; None for a new run.
        local_rank: Number of the process on this machine.

    Returns:
        The command, and its working directory.
    """
    hydra = HydraConfig.get()
    # not sys.argv[0], which differs in the worker of a launcher
    start = f"import sys; sys.path[:] = {sys.path}; from vaekit.commands import train; train()"
    extra_folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    command = [
        *(sys.executable, "-c", start, f"--config-name={hydra.job.config_name}"),
        *(f"--config-dir={path}" for path in extra_folders),
        *hydra.overrides.task,
        "hydra.mode=RUN",
        f"hydra.run.dir={spelled(folder)}",
        f"hydra.job.name={hydra.job.name}_process_{local_rank}",
        "hydra.output_subdir=null",
    ]
    if checkpoint:  # `last` may be another checkpoint by now
        command.append(f"ckpt_path={spelled(checkpoint)}")
    return command, hydra.runtime.cwd


@contextmanager
def one_job(folder: Path, checkpoint: Path | None = None) -> Iterator[None]:
    """A context in which Lightning starts child processes for this job alone.

    Lightning's own command repeats sys.argv, which in a multirun is the whole sweep: each child would run all of it, in
    its own folders. The replacement is undone afterwards. The function that is replaced is
    private to Lightning; tests/lifecycle/test_processes.py fails if it moves.

    Args:
        folder: Folder of the run.
        checkpoint: Checkpoint to resume from; None for a new run.
    """
    environment, command = dict(os.environ), subprocess_script._hydra_subprocess_cmd
    subprocess_script._hydra_subprocess_cmd = partial(child_command, folder, checkpoint)
    try:
        yield
    finally:
        subprocess_script._hydra_subprocess_cmd = command
        # torchrun and srun start the processes once for all jobs of a sweep
        started_here = "LOCAL_RANK" in os.environ.keys() - environment.keys()
        if started_here and torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            os.environ.pop(name, None)
            if name in environment:
                os.environ[name] = environment[name]
