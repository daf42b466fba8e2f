"""Two tiny trained runs, one of images and one of vectors, and the command line in this process."""

import sys
from pathlib import Path

import numpy as np
import pytest

import helpers
from helpers import restored, write_run
from vaekit import commands
from vaekit.data.digits import Digits
from vaekit.tasks.shared.context import open_run

ROOT = Path(__file__).parents[2]


def train(folder, *overrides, small=("network=mlp", "network.hidden=[32]", "latents.dim=3")):
    return helpers.train(folder, *small, "trainer=cpu", "callbacks.progress.refresh_rate=0", *overrides, figures=True)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Where classifiers are kept, in place of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "run"
    return train(folder, "trainer.max_epochs=3", "evaluation.num_samples=7", "data.batch_size=64")


@pytest.fixture(scope="session")
def vectors_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(200, 5)).astype("float32"))
    data = ("data=arrays", f"data.path={folder}/rows.npy", f"data.cache={folder}/cache")
    return train(folder / "run", *data, "trainer.max_epochs=1")


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """The folder of a run by its overrides, as if it had been trained for no step."""

    def make(*overrides, space=Digits.space, dim="latents.dim=3", small=("model=mlp_vae", "network.hidden=[16]")):
        return write_run(tmp_path_factory.mktemp("untrained"), space, *small, dim, *overrides)

    return make


@pytest.fixture
def digits(digits_run, tmp_path):
    return open_run(digits_run, tmp_path, device="cpu")


@pytest.fixture
def vectors(vectors_run, tmp_path):
    return open_run(vectors_run, tmp_path, device="cpu")


@pytest.fixture
def apply(monkeypatch, capsys):
    """Call `python apply.py` with these words, without a new process: its exit code, and what it printed."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["apply.py", *words])
        code = 0
        try:
            commands.apply()
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    with restored():
        yield call
