"""Rows of a table of which some cells are given."""

import csv
from itertools import pairwise

import numpy as np
import pytest
import torch

from vaekit.capabilities import Capability
from vaekit.refusal import Refusal
from vaekit.tasks.sample import sample
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.shared.given import cells, draw

from .conftest import train

N = 1500


@pytest.fixture(
    scope="module", params=[("table", 40), pytest.param(("table_autoregressive", 15), marks=pytest.mark.long)]
)
def run(request, tmp_path_factory):
    """Towns, of which each has its own height and its own fraction of smokers."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    town = rng.integers(3, size=N)
    rows = zip(
        np.array(["Ulm", "Bonn", "Kiel"])[town],
        (f"{value:.2f}" for value in rng.normal(10 * town, 1.0)),
        np.where(rng.random(N) < np.array([0.1, 0.5, 0.9])[town], "yes", "no"),
        strict=True,
    )
    with (folder / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("town", "height", "smokes"), *rows])
    likelihood, epochs = request.param
    small = ("model=table_vae", "network.hidden=[64]", "latents.dim=3")
    data = ("data=table", f"data.path={folder}/people.csv")
    words = (f"likelihood={likelihood}", f"trainer.max_epochs={epochs}", "optimizer/decay=cosine")
    return train(folder / "run", *data, "data.batch_size=32", "optimizer.lr=3e-3", *words, small=small)


@pytest.fixture
def context(run, tmp_path):
    torch.manual_seed(0)
    return open_run(run, tmp_path, device="cpu")


def columns(context, x):
    return dict(zip(("town", "height", "smokes"), context.vae.space.decode(x), strict=True))


@pytest.mark.long
def test_given_cells_are_kept_and_condition_the_others(context):
    heights = []
    for town in ("Ulm", "Bonn", "Kiel"):
        rows = columns(context, draw(context, f"town={town}", 400).x)
        assert set(rows["town"]) == {town}
        heights.append(np.array(rows["height"], float).mean())
    assert all(b - a > 5 for a, b in pairwise(heights))


def test_an_observed_cell_determines_the_category(context):
    rows = columns(context, draw(context, ["height=20.0"], 200).x)
    assert {float(each) for each in rows["height"]} == {20.0}
    assert rows["town"].count("Kiel") > 160


def test_draws_are_exact(context):
    """They are distributed as unconditional draws of which only those with the given cell are kept, as far as cells
    given any others are learned, where no draw is rejected.
    """
    tolerance = 0.1 if Capability.MARGINAL in context.vae.likelihood.gives else 0.05
    given = columns(context, draw(context, {"smokes": "yes"}, 3000).x)
    free = columns(context, context.vae.sample(12_000, draw=True))
    towns = [town for town, smokes in zip(free["town"], free["smokes"], strict=True) if smokes == "yes"]
    for town in ("Ulm", "Bonn", "Kiel"):
        assert given["town"].count(town) / 3000 == pytest.approx(towns.count(town) / len(towns), abs=tolerance)


def test_files_are_written(context):
    x = sample(context, n=9, given=["town=Ulm", "smokes=no"])
    with (context.out / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["town"], row["smokes"]) for row in rows] == [("Ulm", "no")] * 9
    assert np.array_equal(np.load(context.out / "samples.npz")["x"], x.numpy())


def test_cells_are_split_at_the_first_equals_sign():
    assert cells("income=>50K") == {"income": ">50K"}
    assert cells(["a = b=c", "d=1"]) == {"a": "b=c", "d": "1"}


@pytest.mark.parametrize(
    ("given", "says"),
    [("Ulm", "COLUMN=CELL"), ("city=Ulm", "expected one of town"), ("town=Rome", "was not seen in training")],
)
def test_invalid_given_cells_are_refused(context, given, says):
    with pytest.raises(Refusal, match=says):
        draw(context, given, 1)


def test_images_have_no_cells(digits):
    with pytest.raises(Refusal, match=r"this run.s data are not a table"):
        draw(digits, "town=Ulm", 1)
