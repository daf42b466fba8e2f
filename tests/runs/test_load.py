"""A trained VAE in a few lines: load, and its methods."""

import os
import subprocess
import sys

import pytest
import torch

import vaekit
from vaekit import checkpoints, runs
from vaekit.refusal import Refusal


@pytest.fixture(scope="module")
def vae(run):
    return vaekit.load(run)


@pytest.fixture
def x():
    """Digits: five images of 17 gray levels."""
    return torch.randint(17, (5, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 16


@pytest.mark.long
def test_loads_in_evaluation_mode_with_the_trained_weights(run, vae):
    from safetensors.torch import load_file

    assert not any(module.training for module in vae.modules())
    saved = load_file(run / "model.safetensors")
    assert saved.keys() == vae.state_dict().keys()
    assert all(torch.equal(saved[name], value) for name, value in vae.state_dict().items())


def test_samples(vae):
    samples = vae.sample(16)
    assert samples.shape == (16, 1, 8, 8)
    assert samples.min() >= 0
    assert samples.max() <= 1
    assert vae.sample(0).shape == (0, 1, 8, 8)
    vae.space.check(vae.sample(3, draw=True))


def test_encodes_and_reconstructs(vae, x):
    (z,) = vae.encode(x)
    assert z.shape == (5, 4)
    assert torch.equal(vae.encode(x)[0], z)  # means, not draws
    assert vae.reconstruct(x).shape == x.shape
    torch.testing.assert_close(vae.decode([z]), vae.reconstruct(x))


def test_log_likelihood_grows_with_the_number_of_samples(vae, x):
    one, many = vae.log_likelihood(x, num_samples=1), vae.log_likelihood(x, num_samples=500)
    assert one.shape == many.shape == (5,)
    assert many.mean() > one.mean()


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "log_likelihood", "vary"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x[0], r"shape \[1, 8, 8\], expected \[B, 1, 8, 8\]"),
        (lambda x: x[..., :7], r"expected \[(B|\.\.\.), 1, 8, 8\]"),
        (lambda x: x.flatten(1), r"shape \[5, 64\]"),
        (lambda x: x * 16, "expected 0 to 1"),
        (lambda x: x - 1, "expected 0 to 1"),
        (lambda x: x.where(x > 0.5, torch.nan), "NaN"),
        (lambda x: x.where(x > 0.5, torch.inf), "infinite"),
    ],
)
def test_invalid_values_of_x_are_refused(vae, x, verb, change, sentence):
    arguments = {"vary": [2]}.get(verb, [])
    with pytest.raises(Refusal, match=sentence):
        getattr(vae, verb)(change(x), *arguments)


def test_only_scoring_needs_values_on_the_grid(vae, x):
    with pytest.raises(Refusal, match="between the 17 gray values"):
        vae.log_likelihood(x * 0.99)
    assert vae.reconstruct(x * 0.99).shape == x.shape


def test_refuses_no_importance_samples(vae, x):
    with pytest.raises(Refusal, match="at least 1"):
        vae.log_likelihood(x, num_samples=0)


def test_arrays_of_other_types_are_taken(vae, x):
    torch.testing.assert_close(vae.reconstruct(x.double().numpy()), vae.reconstruct(x))


# The folder -----------------------------------------------------------------------------------------------------------


def test_what_a_run_holds(run):
    for name in ("config.yaml", "metrics.json", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (run / name).stat().st_size
    assert runs.read_metrics(run).keys() >= {"test/nll", "test/elbo", "test/rate", "test/distortion"}
    assert runs.read_metrics(run / "figures") == {}


def test_find(run, tmp_path):
    assert runs.find(str(run)) == run
    with pytest.raises(Refusal, match="holds no run"):
        runs.find(tmp_path)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(Refusal, match=r"did not finish.*no checkpoint is left, so train it again"):
        runs.find(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name in ("best", "last"):  # the newest state that there is
        (tmp_path / "checkpoints" / f"{name}.ckpt").touch()
        with pytest.raises(Refusal, match=rf"did not finish.*ckpt_path={tmp_path}/checkpoints/{name}.ckpt"):
            runs.find(tmp_path)


def test_the_last_checkpoint_is_the_newest_of_any_run(tmp_path):
    assert checkpoints.last_checkpoint(tmp_path) is None
    for age, name in enumerate(["b", "multirun/a/0_x=1", "c"]):
        path = tmp_path / name / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    runs.mark_latest(tmp_path / "c", tmp_path)
    assert checkpoints.last_checkpoint(tmp_path) == tmp_path / "b" / "checkpoints" / "last.ckpt"


def test_latest_moves_on_and_stays_within_outputs(tmp_path):
    for name in ("outputs/a", "outputs/b/c", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    outputs = tmp_path / "outputs"
    for name in ("a", "b/c"):
        runs.mark_latest(outputs / name, outputs)
        assert (outputs / "latest").resolve() == (outputs / name).resolve()
    assert not (outputs / "latest").readlink().is_absolute()  # outputs/ can be moved
    runs.mark_latest(tmp_path / "elsewhere", outputs)
    assert (outputs / "latest").resolve() == outputs / "b" / "c"
    assert sorted(path.name for path in outputs.iterdir()) == ["a", "b", "latest"]


@pytest.mark.long
def test_neither_the_package_nor_load_imports_lightning_or_hydra():
    code = "import sys, vaekit, vaekit.plan.plan; vaekit.load; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"lightning", "hydra", "matplotlib", "torchvision", "sklearn"} & {*done.stdout.split()}
