"""A prior fitted after training: a new run with the encoder and likelihood of the old one."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors.torch import load_file

import vaekit
from helpers import config
from vaekit import runs
from vaekit.refusal import Refusal
from vaekit.tasks import fit_prior as fit_prior_module
from vaekit.tasks.fit_prior import fit_prior
from vaekit.tasks.shared.context import open_run

from .conftest import train
from .test_apply import files

SMALL = {
    "mixture": ["prior.components=10"],
    "flow": ["prior.flow.transforms=2", "prior.flow.hidden_features=[32]"],
    "two_stage": ["prior.second.network.hidden=[32]", "prior.second.latents.dim=3"],
    "flow_matching": ["prior.width=64", "prior.blocks=2", "prior.steps=10"],
    "vamp": ["prior.components=50"],
    "exemplar": ["prior.components=50"],
}


def fitted(run, tmp_path, name, epochs=30, **options):
    """The new run's folder, and its figures."""
    prior = OmegaConf.to_container(config(f"prior={name}", *SMALL.get(name, [])).prior, resolve=True)
    torch.manual_seed(0)
    context = open_run(run, tmp_path, device="cpu")
    return tmp_path / "new", fit_prior(context, prior, tmp_path / "new", epochs=epochs, **options)


@pytest.fixture(scope="session")
def autoencoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder") / "run"
    return train(folder, "posterior=dirac", "objective=reconstruction", "trainer.max_epochs=10")


@pytest.fixture(scope="session")
def mixture(digits_run, tmp_path_factory):
    return fitted(digits_run, tmp_path_factory.mktemp("mixture"), "mixture")


@pytest.mark.long
@pytest.mark.parametrize("name", ["gaussian", "flow", "flow_matching", "two_stage"])
def test_the_density_of_held_out_codes_grows(digits_run, tmp_path, name):
    folder, metrics = fitted(digits_run, tmp_path, name)
    assert metrics["test/log_pz"] > metrics["before/log_pz"]
    assert metrics["test/rate"] < metrics["before/rate"]
    assert metrics["test/nll"] < metrics["before/nll"] + 0.05
    vaekit.load(folder)


@pytest.mark.long
@pytest.mark.parametrize("name", ["vamp", "exemplar"])
def test_priors_that_start_from_rows(digits_run, tmp_path, name):
    folder, _ = fitted(digits_run, tmp_path, name, epochs=2)
    prior = vaekit.load(folder).latents.levels[0].prior
    rows = open_run(digits_run, tmp_path).data.sample("train", 50).x
    start = prior.rows if name == "exemplar" else prior.pseudo_inputs.sigmoid()
    assert (start - rows).abs().mean() < 0.1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_prior_is_fitted_in_the_precision_of_its_run(digits_run, tmp_path, monkeypatch, precision):
    shutil.copytree(digits_run, tmp_path / "run")
    path, seen = tmp_path / "run" / "config.yaml", set()
    whole = yaml.safe_load(path.read_text())
    whole["trainer"]["precision"] = precision
    path.write_text(yaml.safe_dump(whole))

    def watched(p, z, call=fit_prior_module.fitting_loss):
        found = call(p, z)
        if torch.is_grad_enabled():
            seen.add((torch.is_autocast_enabled("cpu"), found.dtype))
        return found

    monkeypatch.setattr(fit_prior_module, "fitting_loss", watched)
    fitted(tmp_path / "run", tmp_path, "flow", epochs=1)
    assert seen == {(precision == "bf16-mixed", torch.float32)}


def test_the_result_is_the_average_of_the_weights(digits_run, tmp_path, monkeypatch):
    averages, weights = [], []

    def watched(averaged, current, n, decay, call=fit_prior_module.average):
        averages.append(averaged[0].clone())
        weights.append(current[0].clone())
        call(averaged, current, n, decay)

    monkeypatch.setattr(fit_prior_module, "average", watched)
    folder, _ = fitted(digits_run, tmp_path, "gaussian", epochs=1, lr=0.1)
    expected = averages[0]  # the weights after the first step
    for n, now in enumerate(weights, 1):
        expected = expected.lerp(now, 1 - (1 + n) / (10 + n))
    torch.testing.assert_close(vaekit.load(folder).latents.levels[0].prior.loc, expected)
    assert not torch.allclose(expected, weights[-1])


@pytest.mark.long
def test_how_a_fitted_prior_draws_may_change(digits_run, apply, tmp_path):
    folder, _ = fitted(digits_run, tmp_path, "flow_matching", epochs=1, num_samples=1)
    run = vaekit.open(folder, device="cpu", sampling={"steps": 1})
    assert run.vae.latents.levels[0].prior.steps == 1
    images = [vaekit.open(folder, device="cpu", sampling={"steps": steps}).sample(4) for steps in (1, 10, 10)]
    assert not np.array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[1], images[2])
    for name, steps in (("a", 1), ("b", 10)):
        run = shutil.copytree(folder, tmp_path / name)
        code, printed = apply(f"run={run}", "task=sample", "task.n=4", f"sampling.steps={steps}", "device=cpu")
        assert code == 0, printed
    drawn = [np.load(tmp_path / name / "tasks/sample/samples.npz")["x"] for name in "ab"]
    assert not np.array_equal(*drawn)
    with pytest.raises(Refusal, match=r"Expected one of sampling\.guidance, sampling\.noise, sampling\.steps"):
        vaekit.load(folder, sampling={"width": 3})
    with pytest.raises(Refusal, match=r"Leave out sampling"):
        vaekit.load(digits_run, sampling={"steps": 3})


@pytest.mark.long
def test_reflow_straightens_the_paths_of_the_fitted_prior(digits_run, tmp_path):
    folder, _ = fitted(digits_run, tmp_path / "first", "flow_matching", epochs=3, num_samples=1)
    straight, _ = fitted(folder, tmp_path / "second", "flow_matching", num_samples=1, reflow=True)
    assert yaml.safe_load((straight / "config.yaml").read_text())["fit_prior"]["reflow"]
    start, errors = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), []
    with torch.no_grad():
        exact = vaekit.load(folder, sampling={"steps": 40}).latents.levels[0].prior().transport(start)
        for run in (folder, straight):
            one_step = vaekit.load(run, sampling={"steps": 1}).latents.levels[0].prior().transport(start)
            errors.append((one_step - exact).square().mean().item())
    assert errors[1] < errors[0] / 2, errors
    context = open_run(folder, tmp_path, device="cpu")
    with pytest.raises(Refusal, match=r"weights of the prior of the run\. Add prior\.blocks=2\.$"):
        fit_prior(context, context.config["prior"] | {"blocks": 3}, tmp_path / "third", reflow=True)
    with pytest.raises(Refusal, match=r"requires prior=flow_matching, in the run"):
        fitted(digits_run, tmp_path / "third", "flow_matching", reflow=True)


def test_only_straight_paths_are_reflowed():
    curved = OmegaConf.to_container(config("prior=flow_matching", "prior.path=variance_preserving").prior)
    with pytest.raises(Refusal, match=r"fitted with prior\.path=optimal_transport"):
        fit_prior_module.check_reflow(curved, curved)


@pytest.mark.long
def test_only_the_prior_changes(digits_run, mixture):
    folder, metrics = mixture
    before, after = (load_file(each / "model.safetensors") for each in (digits_run, folder))
    kept = {name for name in after if ".prior." not in name}
    assert kept == {name for name in before if ".prior." not in name}
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert after.keys() - kept
    old, new = (yaml.safe_load((each / "config.yaml").read_text()) for each in (digits_run, folder))
    assert new.pop("fit_prior") == {"run": str(digits_run), "epochs": 30, "lr": 3e-3}
    assert new.pop("prior") == {"_target_": "vaekit.priors.mixture.Mixture", "components": 10}
    old.pop("prior")
    assert new == old
    assert metrics["test/log_pz"] > metrics["before/log_pz"]
    assert metrics["test/distortion"] == pytest.approx(metrics["before/distortion"])


@pytest.mark.long
def test_the_new_run_is_a_run(digits_run, mixture, apply, tmp_path):
    run = shutil.copytree(mixture[0], tmp_path / "run")
    assert {path.name for path in (run / "figures").iterdir()} == {
        f"{name}.png" for name in ("samples", "reconstructions", "interpolations", "latent_map")
    }
    for task in ("sample", "reconstruct", "interpolate", "vary", "score", "evaluate", "cite"):
        code, printed = apply(f"run={run}", f"task={task}", "device=cpu")
        assert code == 0, printed
    now = json.loads((run / "tasks/evaluate/metrics.json").read_text())
    assert now == pytest.approx({name: mixture[1][name] for name in now}, rel=1e-6)
    assert runs.read_metrics(run) == mixture[1]
    assert mixture[1]["before/nll"] == pytest.approx(runs.read_metrics(digits_run)["test/nll"], rel=1e-6)


@pytest.mark.long
def test_a_prior_is_fitted_to_an_autoencoder(autoencoder, apply, tmp_path):
    folder, metrics = fitted(autoencoder, tmp_path, "mixture")
    assert metrics["test/log_pz"] > metrics["before/log_pz"] + 1
    assert "test/nll" not in metrics
    old, new = (vaekit.load(each) for each in (autoencoder, folder))
    codes = old.encode(open_run(autoencoder, tmp_path).data.sample("train", 1000).x)[0]
    spread = [(vae.generate(1000).steps[0].z.std(0) - codes.std(0)).abs().max() for vae in (old, new)]
    assert spread[1] < spread[0]
    assert apply(f"run={folder}", "task=sample", "device=cpu")[0] == 0
    code, printed = apply(f"run={folder}", "task=score", "device=cpu")
    assert code == 1
    assert "task=score requires log q(z | x)" in printed


def test_on_the_command_line(digits_run, apply, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = files(digits_run)
    words = (f"run={digits_run}", "task=fit_prior", "task.epochs=1", "device=cpu")
    code, printed = apply(*words, "prior=mixture", "prior.components=3")
    assert code == 0, printed
    assert files(digits_run) == before
    latest = (tmp_path / "outputs/latest").resolve()
    assert latest.parent.parent == tmp_path / "outputs"
    assert f"new run: {latest.relative_to(tmp_path)}" in printed
    assert vaekit.load(latest).latents.levels[0].prior.logits.shape == (3,)
    assert (latest / "metrics.json").is_file()
    code, printed = apply(*words, "prior=mixture", f"task.folder={latest}")
    assert code == 1
    assert "use another task.folder=FOLDER" in printed


@pytest.mark.long
def test_the_same_seed_gives_the_same_prior(digits_run, tmp_path):
    folders = [fitted(digits_run, tmp_path / name, "mixture", epochs=2)[0] for name in "ab"]
    first, second = (load_file(folder / "model.safetensors") for folder in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prior=sphere_uniform"], "use prior=exemplar"),
        (["prior=standard_normal"], "use prior=flow"),
        (["prior=mixture", "prior.components=0"], "use prior.components=50"),
        (["prior=mixture", "prior.components=many"], "a whole number"),
        (["prior=two_stage", "prior.num_samples=0"], "use prior.num_samples=10"),
        (["prior=two_stage", "network@prior.second.network=conv"], "use network@prior.second.network=mlp"),
        (["task.epochs=0"], "use task.epochs=1"),
        (["task.lr=0"], "use task.lr=1"),
        (["prior=mixture", "task.lr=1e30", "task.epochs=2"], "use task.lr=1e-4"),
    ],
)
def test_refusals_say_what_to_type(digits_run, apply, tmp_path, words, says):
    code, printed = apply(f"run={digits_run}", "task=fit_prior", "device=cpu", f"task.folder={tmp_path}/new", *words)
    assert code == 1
    assert says in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "new" / "config.yaml").exists()


def test_a_prior_that_needs_the_posterior_s_density_is_refused(autoencoder, tmp_path):
    with pytest.raises(Refusal, match="prior=vamp needs the posterior's density"):
        fitted(autoencoder, tmp_path, "vamp")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("model=mlp_vae", "network.hidden=[16]", "latents=ladder", "latents.levels=2"),
            r"one latent level, .* train\.py prior=flow",
        ),
        (("network=resnet_map", "latents=map"), r"over vectors, not maps; use prior=gaussian\.$"),
    ],
)
def test_other_latents_are_refused_with_what_apply_understands(untrained, tmp_path, words, says):
    with pytest.raises(Refusal, match=says):
        fitted(untrained(*words, small=()), tmp_path, "flow")


def test_other_tasks_take_no_prior(digits_run, apply):
    code, printed = apply(f"run={digits_run}", "task=sample", "prior=flow", "device=cpu")
    assert code == 1
    assert "prior=flow is a setting of train.py" in printed


def test_a_private_run_is_refused(untrained, tmp_path):
    run = untrained()
    with (run / "config.yaml").open("a") as file:
        file.write("privacy: {_target_: vaekit.training.privacy.DifferentialPrivacy, epsilon: 1.0}\n")
    with pytest.raises(Refusal, match="would read its training rows without noise"):
        fitted(run, tmp_path, "standard_normal")
