"""task.label: the class to generate with a conditional model."""

import json
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from helpers import config
from vaekit.refusal import Refusal
from vaekit.tasks.compress import compress
from vaekit.tasks.decompress import decompress
from vaekit.tasks.detect import detect
from vaekit.tasks.embed import embed
from vaekit.tasks.fit_prior import fit_prior
from vaekit.tasks.impute import impute
from vaekit.tasks.sample import sample
from vaekit.tasks.shared.anomaly import measure
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.shared.imputation import IncompleteRows, gibbs, importance_weighted

CVAE = {"words": ("condition=label", "prior=gaussian"), "dim": "latents.dim=3"}
M2 = {"words": ("condition=label", "latents=labelled", "objective=semi_supervised"), "dim": "latents.given.dim=3"}
TASKS = ("sample task.n=6", "vary task.n=3", "interpolate task.n=2 task.steps=3", "traverse task.n=2 task.steps=3")


@pytest.fixture(scope="session")
def moved(untrained):
    """A run as `untrained` makes it, its weights moved at random, so that a label makes a difference."""

    def make(*words, dim="latents.dim=3"):
        folder = untrained(*words, dim=dim)
        torch.manual_seed(0)
        weights = load_file(folder / "model.safetensors")
        save_file(
            {name: w + 0.3 * torch.randn_like(w) if w.is_floating_point() else w for name, w in weights.items()},
            folder / "model.safetensors",
        )
        return folder

    return make


@pytest.fixture(scope="session", params=[CVAE, M2], ids=["cvae", "m2"])
def run(request, moved):
    return moved(*request.param["words"], dim=request.param["dim"])


def arrays(run, task):
    (file,) = (run / "tasks" / task).glob("*.npz")
    return np.load(file)["x"]


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_a_label_changes_what_is_made(run, apply, task):
    name, *words = task.split()
    found = []
    for label in (3, 8, 3):
        code, printed = apply(f"task={name}", f"run={run}", *words, f"task.label={label}")
        assert code == 0, printed
        found.append(arrays(run, name))
    assert np.array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.long
def test_without_a_label_test_examples_bring_their_own(run, apply):
    for task in ("sample", "vary", "interpolate", "reconstruct", "evaluate"):
        code, printed = apply(f"task={task}", f"run={run}", *(["task.rows=20"] if task == "evaluate" else []))
        assert code == 0, printed


def test_evaluation_of_m2_knows_its_accuracy(run, apply):
    assert apply("task=evaluate", f"run={run}", "task.rows=20")[0] == 0
    metrics = json.loads((run / "tasks" / "evaluate" / "metrics.json").read_text())
    assert ("test/accuracy" in metrics) == bool(open_run(run, run).vae.latents.infers)


@pytest.mark.long
@pytest.mark.parametrize("source", ["prior", "posterior"])
def test_synthetic_rows_carry_their_labels(run, apply, source):
    assert apply("task=synthesize", f"run={run}", f"task.source={source}", "task.n=40")[0] == 0
    found = np.load(run / "tasks" / "synthesize" / "synthetic.npz")
    assert found["y"].shape == (40,) and set(found["y"]) <= set(range(10))
    if source == "prior":
        assert apply("task=synthesize", f"run={run}", "task.source=prior", "task.n=40", "task.label=4")[0] == 0
        assert set(np.load(run / "tasks" / "synthesize" / "synthetic.npz")["y"]) == {4}


@pytest.mark.parametrize("task", [*TASKS, "synthesize task.n=40 task.source=prior"])
def test_labels_are_refused_where_there_are_none_or_not_these(run, untrained, apply, task):
    name, *words = task.split()
    code, printed = apply(f"task={name}", f"run={run}", *words, "task.label=12")
    assert code == 1 and "task.label=9" in printed
    code, printed = apply(f"task={name}", f"run={untrained()}", *words, "task.label=3")
    assert code == 1 and "condition=label" in printed


def test_a_conditional_model_without_a_label_is_refused(untrained, apply, tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((1, 1, 8, 8), np.uint8))
    code, printed = apply("task=vary", f"task.input={tmp_path}/one.npy", f"run={untrained(*CVAE['words'])}")
    assert code == 1 and "task.label=7" in printed


def test_a_prior_is_not_fitted_where_classes_are_inferred(untrained, apply, tmp_path):
    code, printed = apply(
        "task=fit_prior", f"run={untrained(*M2['words'], dim=M2['dim'])}", f"task.folder={tmp_path}/new"
    )
    assert code == 1 and "prior=flow" in printed
    assert not (tmp_path / "new").exists()


def test_labels_hidden_in_training_are_available_to_tasks(untrained, tmp_path):
    folder = untrained("data.labels=50")
    data = open_run(folder, tmp_path, device="cpu").data
    rows = data.in_order("train")
    assert (rows.label[rows.indices] >= 0).all() and len(rows.indices.unique()) == len(rows.indices)


# Tasks that give a model what it needs to know of each row ------------------------------------------------------------


@pytest.fixture
def cvae(moved, tmp_path):
    """Its context, and the labels of its test rows."""
    context = open_run(moved(*CVAE["words"]), tmp_path, device="cpu")
    return context, context.test.label[context.test.indices]


def test_codes_are_conditioned_on_the_label_of_each_row(cvae):
    context, label = cvae
    (codes,) = embed(context, rows=50)
    x = context.examples(slice(None))
    torch.testing.assert_close(codes, context.vae.encode(x, condition=label)[0], atol=1e-4, rtol=1e-4)
    assert (codes - context.vae.encode(x, condition=(label + 1) % 10)[0]).abs().max() > 1e-3


@pytest.mark.long
def test_a_row_with_a_wrong_label_is_unusual(untrained, tmp_path):
    """What is measured is of x given its label: by hand for another one."""
    context = open_run(untrained(*CVAE["words"]), tmp_path, device="cpu")
    step_up(context)
    batch = context.data.sample("test", 100)
    found = [measure(context.vae, [replace(batch, label=label)], 20) for label in (batch.label, (batch.label + 5) % 10)]
    right, wrong = (each.statistics["nll"].mean() for each in found)
    assert right < wrong - 1
    expected = context.vae.reconstruct(batch.x, condition=batch.label).numpy()
    np.testing.assert_allclose(found[0].mean, expected, atol=1e-5)
    assert len(detect(context, scores=["regret"], steps=2)["regret"]) == 359
    with pytest.raises(Refusal, match=r"task.normal=\[0,1\]"):
        detect(context, other="digits")
    np.save(tmp_path / "rows.npy", batch.x.numpy())
    with pytest.raises(Refusal, match=r"got rows without.*data.path=FILE or data.root=FOLDER"):
        detect(context, input=tmp_path / "rows.npy")


@pytest.mark.long
def test_missing_values_are_imputed_from_the_label(untrained, tmp_path):
    context = open_run(untrained(*CVAE["words"]), tmp_path, device="cpu")
    step_up(context)
    batch = context.data.sample("test", 100)
    empty = torch.zeros_like(batch.x, dtype=torch.bool)
    fill = context.data.mean()
    for method in (importance_weighted, partial(gibbs, context.vae)):
        nll = []
        for label in (batch.label, (batch.label + 5) % 10):
            torch.manual_seed(0)
            nll.append(method(context.vae, IncompleteRows(batch.x, empty, ~empty, label), fill, 20, 2).nll.mean())
        assert nll[0] < nll[1] - 1
    for method in ("miwae", "gibbs"):
        assert impute(context, method, n=20, num_samples=5, steps=4, updates=2).mean.shape == (20, 1, 8, 8)
    np.save(tmp_path / "rows.npy", np.full((3, 1, 8, 8), np.nan))
    with pytest.raises(Refusal, match="got rows without"):
        impute(context, input=tmp_path / "rows.npy")


def step_up(context, steps=200):
    """Train a little, so that labels tell something."""
    torch.manual_seed(0)
    vae, rows = context.vae.train(), context.data.sample("train", 1200)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    for _ in range(steps):
        numbers = torch.randint(1200, (64,))
        optimizer.zero_grad()
        (-vae(replace(rows, x=rows.x[numbers], label=rows.label[numbers])).elbo.mean()).backward()
        optimizer.step()
    vae.eval()


@pytest.mark.parametrize("words", [CVAE["words"], ("condition=label", "posterior=vq", "prior=code_uniform")], ids=str)
def test_labels_are_stored_in_the_archive(moved, tmp_path, words):
    run = moved(*words, "likelihood=categorical", "data.binarize=none")
    (tmp_path / "own").mkdir()
    context = open_run(run, tmp_path / "own", device="cpu", batch_size=16)
    bits = compress(context, output=tmp_path / "own.vaekit", num_samples=2)
    levels = context.vae.space.bins - 1
    expected = (context.examples(slice(None)) * levels).round().numpy()
    assert np.array_equal(decompress(context, input=tmp_path / "own.vaekit"), expected)
    assert bits["vaekit"] < 1.15 * bits["elbo"]
    np.save(tmp_path / "rows.npy", expected[:20].astype(np.uint8))
    with pytest.raises(Refusal, match=r"task.label=7"):
        compress(context, input=tmp_path / "rows.npy", output=tmp_path / "rows.vaekit")
    compress(context, input=tmp_path / "rows.npy", output=tmp_path / "rows.vaekit", num_samples=2, label=3)
    back = decompress(context, input=tmp_path / "rows.vaekit", output=tmp_path / "back.npy")
    assert np.array_equal(back, expected[:20])


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "prior"),
    [
        (CVAE["words"], ("prior=gaussian",)),
        (CVAE["words"], ("prior=flow", "prior.flow.hidden_features=[8]")),
        (("condition=label", "posterior=vq", "prior=code_uniform"), ("prior=autoregressive", "prior.width=8")),
    ],
    ids=str,
)
def test_a_prior_is_fitted_given_the_labels(moved, tmp_path, words, prior):
    chosen = OmegaConf.to_container(config("condition=label", *prior).prior, resolve=True)
    (tmp_path / "out").mkdir()
    context = open_run(moved(*words), tmp_path / "out", device="cpu")
    metrics = fit_prior(context, chosen, tmp_path / "new", epochs=5, lr=1e-2)
    assert metrics["test/log_pz"] > metrics["before/log_pz"]
    fitted = open_run(tmp_path / "new", tmp_path, device="cpu").vae
    assert fitted.sample(3, condition=7).shape == (3, 1, 8, 8)
    if prior == ("prior=gaussian",):
        (first,), (second,) = (fitted.generate(1, 0.0, torch.tensor([c])).steps for c in (1, 2))
        assert (first.z - second.z).abs().max() > 1e-3


def test_export_refuses_a_conditional_model(untrained, apply):
    code, printed = apply("task=export", f"run={untrained(*CVAE['words'])}")
    assert code == 1 and "'~condition'" in printed


def test_a_label_of_a_model_without_labels_is_refused_before_a_progress_bar(untrained, tmp_path):
    context = open_run(untrained(), tmp_path, device="cpu")
    with patch("vaekit.tasks.sample.track", side_effect=AssertionError), pytest.raises(Refusal, match="no condition"):
        sample(context, label=7)
