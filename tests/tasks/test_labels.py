"""task.label: what a model with labels is asked for."""

import json

import numpy as np
import pytest
import torch

from vaekit.tasks.context import open_run

CVAE = {"words": ("condition=label", "prior=gaussian"), "dim": "latents.dim=3"}
M2 = {"words": ("condition=label", "latents=labelled", "objective=semi_supervised"), "dim": "latents.given.dim=3"}
TASKS = ("sample task.n=6", "vary task.n=3", "interpolate task.n=2 task.steps=3", "traverse task.n=2 task.steps=3")


@pytest.fixture(scope="session", params=[CVAE, M2], ids=["cvae", "m2"])
def run(request, untrained):
    """Its weights moved at random, so that a label makes a difference."""
    from safetensors.torch import load_file, save_file

    folder = untrained(*request.param["words"], dim=request.param["dim"])
    torch.manual_seed(0)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: w + 0.3 * torch.randn_like(w) if w.is_floating_point() else w for name, w in weights.items()},
        folder / "model.safetensors",
    )
    return folder


def arrays(run, task):
    (file,) = (run / "tasks" / task).glob("*.npz")
    return np.load(file)["x"]


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


def test_without_a_label_test_examples_bring_their_own(run, apply):
    for task in ("sample", "vary", "interpolate", "reconstruct", "evaluate"):
        code, printed = apply(f"task={task}", f"run={run}", *(["task.rows=20"] if task == "evaluate" else []))
        assert code == 0, printed


def test_evaluation_of_m2_knows_its_accuracy(run, apply):
    assert apply("task=evaluate", f"run={run}", "task.rows=20")[0] == 0
    metrics = json.loads((run / "tasks" / "evaluate" / "metrics.json").read_text())
    assert ("test/accuracy" in metrics) == bool(open_run(run, run).vae.latents.infers)


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


def test_a_conditional_model_asks_for_a_label_where_nothing_brings_one(untrained, apply):
    code, printed = apply("task=traverse", f"run={untrained(*CVAE['words'])}")
    assert code == 1 and "task.label=7" in printed


def test_a_prior_is_not_fitted_to_a_conditional_model(run, apply, tmp_path):
    code, printed = apply("task=fit_prior", f"run={run}", f"task.folder={tmp_path}/fitted")
    assert code == 1 and ("prior=flow" in printed or "task=sample" in printed)
    assert not (tmp_path / "fitted").exists()


def test_labels_hidden_in_training_are_there_for_tasks(untrained, tmp_path):
    folder = untrained("data.labels=50")
    data = open_run(folder, tmp_path, device="cpu").data
    rows = data.in_order("train")
    assert (rows.label[rows.indices] >= 0).all() and len(rows.indices.unique()) == len(rows.indices)


@pytest.mark.parametrize("task", ["detect", "export", "impute", "embed"])
def test_what_reads_no_condition_is_refused_for_a_model_that_needs_one(untrained, apply, task):
    code, printed = apply(f"task={task}", f"run={untrained(*CVAE['words'])}")
    assert code == 1 and "task=sample" in printed
