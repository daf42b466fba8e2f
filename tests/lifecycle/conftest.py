"""The command line, in this process (a second) and in one of its own (six seconds, where signals or exits matter)."""

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from vaekit import commands
from vaekit.training import run

TRAIN = str(Path(__file__).parents[2] / "train.py")
TINY = [
    "model=mlp_vae",
    "data.batch_size=128",
    "network.hidden=[16]",
    "latents.dim=4",
    "trainer=cpu",
    "evaluation.num_samples=5",
]


@dataclass
class Done:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def flags_first(words):
    return sorted(words, key=lambda word: not word.startswith("--"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, without the variables that a user may have set."""
    monkeypatch.chdir(tmp_path)
    for name in ("VAEKIT_STAMP", "HYDRA_FULL_ERROR", "WANDB_MODE", "WANDB_API_KEY", "PL_GLOBAL_SEED"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def train(here, monkeypatch, capsys):
    """`train("optimizer.lr=1e-3", folder="a")` calls `python train.py` on a tiny VAE, without a new process.

    figures: whether they are drawn, which takes longer than the training.
    """
    monkeypatch.setattr("hydra._internal.utils.is_under_debugger", lambda: False)  # as it is when coverage is measured
    root, hydra, calls = logging.getLogger(), HydraConfig.instance(), iter(range(1000))
    before = root.handlers[:], root.level, hydra.cfg

    def call(*words, folder=None, epochs=1, tiny=TINY, stamped=True, figures=False):
        run_dir = [f"hydra.run.dir={folder}"] if folder else []
        if stamped:
            monkeypatch.setenv("VAEKIT_STAMP", f"day/run{next(calls)}")
        words = [*tiny, f"trainer.max_epochs={epochs}", *run_dir, *words]
        monkeypatch.setattr(sys, "argv", [TRAIN, *flags_first(words)])
        code = 0
        if not figures:
            monkeypatch.setattr(run, "draw_run", lambda *_: None)
        try:
            commands.train()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            message = "" if isinstance(end.code, int) else str(end.code)
        else:
            message = ""
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err + message)

    yield call
    for handler in set(root.handlers) - set(before[0]):
        handler.close()
    root.handlers[:], root.level, hydra.cfg = before
    GlobalHydra.instance().clear()
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def start(here):
    """`start("data.batch_size=2")` begins `python train.py` on a tiny VAE in a process of its own, or `by` another."""
    begun = []

    def call(*words, tiny=TINY, by=(), **environment):
        process = subprocess.Popen(
            [sys.executable, *by, TRAIN, *flags_first([*tiny, *words])],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield call
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def train_apart(start):
    """`python train.py` on a tiny VAE in a process of its own, to its end."""

    def call(*words, **options):
        process = start(*words, **options)
        out, err = process.communicate(timeout=120)
        return Done(process.returncode, out, err)

    return call
