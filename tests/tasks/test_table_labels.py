"""A table one of whose columns is the label: conditional and semi-supervised models of it."""

import csv
import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from vaekit.data.table import Table
from vaekit.media.album import draw_run
from vaekit.refusal import Refusal
from vaekit.tasks.embed import embed
from vaekit.tasks.impute import impute
from vaekit.tasks.score import score
from vaekit.tasks.shared import classifier
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.shared.given import draw
from vaekit.tasks.synthesize import synthesize

from .conftest import train

TOWNS = ("Bonn", "Kiel", "Ulm")
NAMES = ["height", "town", "smokes"]
N = 600
CVAE = ("model=cvae", "network=mlp")
M2 = ("model=m2_vae", "data.labels=60", "latents.given.dim=3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """people.csv: in each town people have their own height; of the last ten rows the town is not known."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    town = rng.integers(3, size=N)
    height = [f"{value:.1f}" for value in 10 * town + rng.normal(size=N)]
    smokes = [("yes", "no")[i] for i in rng.integers(2, size=N)]
    names = np.array(TOWNS)[town].tolist()
    for name, towns in (("people", names), ("holes", [*names[: N - 10], *[""] * 10])):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([NAMES, *zip(height, towns, smokes, strict=True)])
    return folder


@pytest.fixture(scope="module", params=[CVAE, M2], ids=["cvae", "m2"])
def run(request, folder, tmp_path_factory):
    """m2 sees 30 labels, and rows without."""
    small = (*request.param, "network.hidden=[32]", "data=table", "data.label=town", "data.batch_size=32")
    small += ("optimizer.lr=1e-2", "trainer.max_epochs=15", "evaluation.num_samples=2")
    small += () if request.param is M2 else ("latents.dim=3",)
    name = "holes" if request.param is M2 else "people"
    return train(tmp_path_factory.mktemp("run") / "run", f"data.path={folder}/{name}.csv", small=small)


@pytest.fixture
def context(run, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 60)
    torch.manual_seed(0)
    return open_run(run, tmp_path, device="cpu")


def rows(path):
    with path.open(newline="") as file:
        header, *cells = csv.reader(file)
    assert header == NAMES
    return cells


def fits(cells):
    """The fraction of rows whose height is nearest to that of their town."""
    return np.mean([abs(float(height) - 10 * TOWNS.index(town)) < 5 for height, town, _ in cells])


@pytest.mark.long
def test_the_classes_are_counted_by_the_run(context):
    assert context.vae.condition.classes == [3]
    assert context.data.source.classes() == {"Bonn": 0, "Kiel": 1, "Ulm": 2}


def test_the_map_of_codes_names_the_classes(context, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    embed(context)
    draw_run(context.out, context.vae, context.data.sample("test", 50), context.data.source.classes())
    legends = [
        axis.get_legend()
        for figure in figures
        for axis in figure.axes
        if axis.get_title().startswith("Posterior means")
    ]
    assert [tuple(text.get_text() for text in legend.get_texts()) for legend in legends] == [TOWNS, TOWNS]


def test_synthetic_rows_have_the_file_s_columns_and_their_label(context):
    found = synthesize(context, n=200, source="prior").figures
    cells = rows(context.out / "synthetic.csv")
    assert len(cells) == 200 and {town for _, town, _ in cells} == set(TOWNS) and fits(cells) > 0.5
    assert found["accuracy"] > 0.8
    assert Table(context.out / "synthetic.csv", label="town").classes() == context.data.source.classes()


@pytest.mark.parametrize("label", ["Kiel", "1", "[Kiel,Kiel,Kiel,Kiel]"])
def test_the_command_makes_rows_of_a_class_by_its_name_or_number(run, apply, label):
    assert apply("task=sample", f"run={run}", "task.n=4", f"task.label={label}", "device=cpu")[0] == 0
    assert {town for _, town, _ in rows(run / "tasks/sample/samples.csv")} == {"Kiel"}
    assert np.load(run / "tasks/sample/samples.npz")["label"].tolist() == [1] * 4


def test_another_name_is_refused(run, apply):
    code, printed = apply("task=sample", f"run={run}", "task.label=Rome", "device=cpu")
    assert code == 1 and "expected Bonn, Kiel, Ulm; use task.label=Bonn" in printed


def test_cells_may_be_given_in_addition_to_the_label(context):
    drawn = draw(context, ["town=Ulm", "smokes=no"], 50)
    _, town, smokes = context.vae.space.decode(drawn.x, drawn.label)
    assert set(town) == {"Ulm"} and set(smokes) == {"no"}
    drawn = draw(context, "height=20.0", 50)
    assert (drawn.label == 2).float().mean() > 0.5  # of three


def test_labels_are_read_from_the_file(context, folder, tmp_path):
    path = tmp_path / "more.csv"
    path.write_text("smokes,height,town\nno,,Ulm\nyes,0.1,Bonn\n")
    assert impute(context, input=path, num_samples=20, draws=2, updates=0).mean.shape == (2, 2)
    cells = rows(context.out / "imputed.csv")
    assert cells[1] == ["0.1", "Bonn", "yes"] and cells[0][1:] == ["Ulm", "no"]
    assert score(context, input=path, num_samples=2).shape == (2,)
    path.write_text("smokes,height\nno,1.0\n")
    if context.vae.needs_condition:
        assert float(cells[0][0]) > 13
        with pytest.raises(Refusal, match="got rows without"):
            score(context, input=path, num_samples=2)
        with pytest.raises(Refusal, match="Got the label -1"):
            score(context, input=folder / "holes.csv", num_samples=2)
    else:
        assert score(context, input=path, num_samples=2).shape == (1,)


def test_m2_predicts_the_class_of_unlabeled_rows(run, context):
    metrics = json.loads((run / "metrics.json").read_text())
    if context.vae.latents.infers:
        assert metrics["test/accuracy"] > 0.9
    assert np.isfinite(metrics["test/nll"])


def test_rows_without_a_label_need_a_model_that_infers_it(folder, tmp_path):
    with pytest.raises(AssertionError, match="-1 is a missing one, which model=m2_vae learns with"):
        train(tmp_path / "run", "data=table", f"data.path={folder}/holes.csv", "data.label=town", "condition=label")
