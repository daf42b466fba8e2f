import subprocess
import sys
from pathlib import Path

import pytest

import helpers

TRAIN = str(Path(__file__).parents[2] / "train.py")
TINY = ["model=mlp_vae", "network.hidden=[16]", "latents.dim=4", "trainer=cpu", "trainer.max_epochs=2"]


def train(folder, *overrides, config_dir=None, **options):
    """Train a tiny VAE into `folder` in a process of its own."""
    flags = ["--config-dir", config_dir] if config_dir else []
    command = [sys.executable, TRAIN, *flags, *TINY, *overrides, f"hydra.run.dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a finished run. Tests that change it work on a copy."""
    return helpers.train(tmp_path_factory.mktemp("outputs") / "run", *TINY)


@pytest.fixture(scope="session")
def train_tiny():
    return train
