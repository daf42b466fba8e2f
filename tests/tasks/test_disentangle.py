"""Disentanglement of a run on data with known factors."""

import json

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.refusal import Refusal
from vaekit.tasks.disentangle import disentangle
from vaekit.tasks.shared.context import open_run

from .conftest import train

NAMES = {
    "mig", "dci_disentanglement", "dci_completeness", "dci_informativeness", "sap", "factor_vae", "modularity",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sprites") / "run"
    small = ("data=sprites", "data.test=300", "data.validation=100", "evaluation.num_samples=2")
    return train(folder, *small, "trainer.max_epochs=1", "+trainer.limit_train_batches=3")


@pytest.fixture
def context(run, tmp_path):
    return open_run(run, tmp_path, device="cpu", batch_size=64)


@pytest.mark.long
def test_metrics_are_written_for_a_run(context):
    found = disentangle(context, n=300)
    assert set(found) == NAMES
    assert all(0 <= value <= 1 for value in found.values())
    assert json.loads((context.out / "disentanglement.json").read_text()) == found
    with PIL.Image.open(context.out / "disentanglement.png") as picture:
        assert np.asarray(picture).std() > 0


def test_the_figures_of_a_perfect_encoder_are_perfect(context, monkeypatch):
    factors = context.test.label[context.test.indices].float()
    noise = 0.01 * torch.randn(factors.shape, generator=torch.Generator().manual_seed(0))
    given = iter((factors + noise)[context.sample(300)].split(64))
    monkeypatch.setattr(context.vae, "encode", lambda x, condition: [next(given)])
    found = disentangle(context, n=300)
    assert found["factor_vae"] > 0.95 and found["dci_disentanglement"] > 0.9 and found["mig"] > 0.6


@pytest.mark.long
def test_the_command_line(run, apply):
    code, printed = apply(f"run={run}", "task=disentangle", "task.n=200", "device=cpu")
    assert code == 0, printed
    assert "factor_vae" in printed and "disentanglement.json" in printed and "disentanglement.png" in printed
    first = (run / "tasks/disentangle/disentanglement.json").read_text()
    apply(f"run={run}", "task=disentangle", "task.n=200", "device=cpu")
    assert (run / "tasks/disentangle/disentanglement.json").read_text() == first  # the same seed


@pytest.mark.parametrize(("n", "says"), [(301, "task.n=300"), (99, "task.n=100"), ("all", "task.n=100")])
def test_numbers_of_rows_out_of_range_are_refused(context, n, says):
    with pytest.raises(Refusal, match=says):
        disentangle(context, n)


def test_data_without_factors_are_refused(digits, vectors):
    for context in (digits, vectors):  # one label, and none
        with pytest.raises(Refusal, match=r"Train with data=sprites\.$"):
            disentangle(context)


def test_factors_that_do_not_vary_are_left_out(context):
    context.test.label = context.test.label.clone()
    context.test.label[:, 0] = 1
    assert set(disentangle(context, n=100)) == NAMES
    context.test.label[:, :4] = 0
    with pytest.raises(Refusal, match="several factors"):
        disentangle(context, n=100)
