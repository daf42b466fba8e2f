"""A VQ-VAE, from its training to a prior of its codes, and what can then be done with it."""

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import vaekit
from helpers import config
from vaekit import runs
from vaekit.tasks.decompress import decompress
from vaekit.tasks.fit_prior import fit_prior
from vaekit.tasks.shared.context import open_run

from .conftest import train


@pytest.fixture(scope="session")
def vq_run(tmp_path_factory):
    """[2, 4, 4] codes of 64 for each of the 8x8 digits."""
    small = ("model=vq_vae", "posterior.codes=64", "posterior.depth=2", "latents.dim=16", "network.channels=[16]")
    folder = tmp_path_factory.mktemp("vq") / "run"
    return train(folder, "data.batch_size=64", "trainer.max_epochs=4", small=small)


@pytest.fixture(scope="session")
def fitted(vq_run, tmp_path_factory):
    """The new run's folder, and its figures."""
    out = tmp_path_factory.mktemp("autoregressive")
    words = ("prior=autoregressive", "prior.width=32", "prior.blocks=2", "prior.heads=2")
    prior = OmegaConf.to_container(config(*words).prior, resolve=True)
    torch.manual_seed(0)
    return out / "new", fit_prior(open_run(vq_run, out, device="cpu"), prior, out / "new", epochs=10)


@pytest.mark.long
def test_the_use_of_codes_is_among_the_figures(vq_run):
    metrics = runs.read_metrics(vq_run)
    for split in ("val", "test"):
        assert 0.3 < metrics[f"{split}/code_usage"] <= 1
        assert 5 < metrics[f"{split}/perplexity"] <= 64
    assert metrics["test/rate"] == pytest.approx(32 * np.log(64), rel=1e-5)
    assert metrics["test/nll"] == pytest.approx(metrics["test/distortion"] + metrics["test/rate"], rel=1e-5)


@pytest.mark.long
def test_the_fitted_prior_knows_what_codes_go_together(fitted):
    metrics = fitted[1]
    assert metrics["test/nll"] < metrics["before/nll"] - 30
    assert metrics["test/distortion"] == pytest.approx(metrics["before/distortion"])
    assert metrics["test/log_pz"] == pytest.approx(-metrics["test/rate"], rel=1e-4)
    assert metrics["test/nll"] == pytest.approx(metrics["test/distortion"] + metrics["test/rate"], rel=1e-5)


@pytest.mark.long
def test_tasks_work_on_a_run_with_a_fitted_prior(fitted, apply, tmp_path):
    run = fitted[0]
    for task in ("sample", "reconstruct", "interpolate", "vary", "score", "evaluate", "describe"):
        code, printed = apply(f"run={run}", f"task={task}", "device=cpu")
        assert code == 0, printed
    now = json.loads((run / "tasks/evaluate/metrics.json").read_text())
    assert now == pytest.approx({name: fitted[1][name] for name in now}, rel=1e-5)
    colder = vaekit.load(run).sample(20, temperature=0.5)
    assert colder.shape == (20, 1, 8, 8)


def test_digits_come_back_from_their_codes(fitted, apply, tmp_path):
    """Coded under the prior, then x given them: at the price of the nll, as nothing is drawn from bits."""
    code, printed = apply(f"run={fitted[0]}", "task=compress", f"task.output={tmp_path}/small", "device=cpu")
    assert code == 0, printed
    bits = json.loads((fitted[0] / "tasks/compress/compression.json").read_text())
    assert bits["elbo"] == pytest.approx(bits["nll"], rel=1e-5)
    assert bits["nll"] * 0.98 < bits["vaekit"] < bits["nll"] * 1.05
    context = open_run(fitted[0], tmp_path, device="cpu")
    back = decompress(context, input=tmp_path / "small", output=tmp_path / "back.npy")
    assert np.array_equal(back, (context.examples(slice(0, len(back))) * 16).numpy())


@pytest.mark.long
def test_a_prior_is_fitted_to_binary_codes(untrained, tmp_path):
    """Random codes are drawn again for each step."""
    run = untrained("posterior=bernoulli", "prior=code_uniform", "latents.dim=8", "network.hidden=[64]")
    prior = OmegaConf.to_container(config("prior=autoregressive", "prior.width=8", "prior.blocks=1").prior)
    context = open_run(run, tmp_path, device="cpu")
    metrics = fit_prior(context, prior, tmp_path / "new", epochs=2)
    assert metrics["test/log_pz"] > metrics["before/log_pz"] == pytest.approx(-8 * np.log(2), rel=1e-4)
