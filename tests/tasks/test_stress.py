"""Stress: importance weights, scenarios, and refusals."""

import csv
import json
import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from vaekit.data.series import Series
from vaekit.media.plots import save_panels
from vaekit.refusal import Refusal
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.stress import SEVERITY, draw, draw_facts, draw_scenario, portfolio, stress, value

from .conftest import train
from .test_uses import use


@pytest.fixture(scope="module")
def prices(tmp_path_factory):
    path = tmp_path_factory.mktemp("prices") / "prices.csv"
    walk = 50 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, [0.01, 0.02], (150, 2)), 0))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b"], *walk.tolist()])
    return path


@pytest.fixture
def context(prices, untrained, tmp_path):
    """A model whose volatility z decides."""
    words = ("data=series", f"data.path={prices}", "data.window=10", "likelihood=multivariate_student")
    run = untrained(*words, space=Series(prices, window=10).space)
    context = open_run(run, tmp_path, device="cpu", data={})
    context.vae.likelihood.bias.data[1] += 1.0
    torch.manual_seed(0)
    return context


def loss(context):
    return lambda each: SEVERITY["loss"](portfolio(context.vae.space, each.x))


def test_the_value_of_a_portfolio_is_the_mean_of_its_growth():
    returns = torch.tensor([[[1.1, 0.5], [0.9, 1.5]]]).log()
    torch.testing.assert_close(value(returns), torch.tensor([[1.0, 1.0, 1.0]]))
    paths = torch.tensor([[1.0, 1.2, 0.9], [1.0, 1.1, 1.21]])
    found = {name: severity(paths).tolist() for name, severity in SEVERITY.items()}
    assert found["drawdown"] == pytest.approx([0.25, 0]) and found["loss"] == pytest.approx([0.1, -0.21])
    assert found["volatility"] == pytest.approx([0.45 / math.sqrt(2), 0], abs=1e-6)


def test_importance_weights_leave_probabilities_as_they_are(context):
    severity = loss(context)
    free = draw(context, 20_000)
    rare = float(severity(free).quantile(0.98))
    bent = draw_scenario(context, free, severity, rare, 20_000)
    hit = severity(bent) >= rare
    weight = bent.log_weight.exp()
    assert (weight <= 2.001).all() and float(weight.mean()) == pytest.approx(1, abs=0.03)
    assert hit.float().mean() > 0.021, "they come more often"
    assert float((weight * hit).mean()) == pytest.approx(0.02, rel=0.15)


@pytest.mark.long
def test_writes_paths_of_the_scenario_and_what_may_be_lost(context, tmp_path):
    found = stress(context, scenario="drawdown", top=0.1, n=2000, paths=20)
    least = float(found["scenario"].rpartition(" ")[2])
    with (tmp_path / "stress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 * 11
    growth = np.array([[float(row["a"]), float(row["b"])] for row in rows]).reshape(20, 11, 2)
    worth = np.cumprod((growth[:, 1:] / growth[:, :-1]).mean(-1), 1)
    worth = torch.from_numpy(np.concatenate([np.ones((20, 1)), worth], 1))
    assert (SEVERITY["drawdown"](worth) > 0.999 * least).all()
    assert json.loads((tmp_path / "stress.json").read_text()) == found
    assert found["probability"] == pytest.approx(0.1, rel=0.3) and 20 < found["effective_paths"] <= 2000
    assert set(found["risk"]) == {"test", "training", "synthetic", "bootstrap", "gaussian", "scenario"}
    for risks in found["risk"].values():
        assert risks["var_95%"] <= risks["es_95%"] and risks["var_95%"] <= risks["var_99%"] <= risks["es_99%"]
    assert found["risk"]["scenario"]["var_95%"] > found["risk"]["synthetic"]["var_95%"]
    assert (tmp_path / "risk.png").is_file() and (tmp_path / "facts.png").is_file()


def test_the_panels_of_facts_have_a_legend_and_ticks_that_can_be_read(tmp_path, monkeypatch):
    names = ["test", "training", "synthetic", "bootstrap"]
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    generator = torch.Generator().manual_seed(0)
    save_panels(
        tmp_path / "facts.png", draw_facts({name: torch.randn(50, 2, 30, generator=generator) for name in names})
    )
    figures[0].draw_without_rendering()
    for panel in figures[0].axes:
        assert [text.get_text() for text in panel.get_legend().get_texts()] == names
        labels = [label for minor in (False, True) for label in panel.get_xticklabels(minor=minor) if label.get_text()]
        low, high = panel.get_window_extent().intervalx
        boxes = [label.get_window_extent().intervalx for label in labels]
        boxes = sorted(tuple(box) for box in boxes if low <= sum(box) / 2 <= high)
        assert all(right <= left for (_, right), (left, _) in pairwise(boxes))


@pytest.mark.long
def test_without_a_threshold_the_scenario_is_the_top_fraction(context):
    found = stress(context, scenario="volatility", top=0.2, n=500, paths=2)
    assert found["probability"] == pytest.approx(0.2, rel=0.4)


def test_one_series_alone_has_no_correlation(prices, untrained, tmp_path):
    words = ("data=series", f"data.path={prices}", "data.window=10", "data.columns=[b]")
    run = untrained(*words, "likelihood=multivariate_student", space=Series(prices, window=10, columns=["b"]).space)
    found = stress(open_run(run, tmp_path, device="cpu"), n=200, paths=2)
    assert found["facts"]["synthetic"]["correlation"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scenario": "flood"}, "task.scenario=drawdown"),
        ({"scenario": "loss", "least": 2.0, "n": 100}, "No path reaches 2.*use task.least="),
        ({"least": -1.0}, "task.least"),
        ({"top": 1.0}, "task.top=0.05"),
        ({"n": 1}, "task.n=100"),
    ],
)
def test_invalid_settings_are_refused(context, options, words):
    with pytest.raises(Refusal, match=words):
        stress(context, **options)


def test_other_data_are_refused(vectors):
    with pytest.raises(Refusal, match="Train with data=series"):
        stress(vectors)


@pytest.mark.slow
@pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA does not say where real data are")
def test_risks_and_facts_of_shares_are_near_those_of_real_windows(tmp_path):
    """The commands of docs/series.md. Clusters are weaker than real ones, but days drawn one by one have none."""
    prices = Path(os.environ["VAEKIT_DATA"], "Tabular/finance/stocks_5tickers_2007_2016.csv")
    words = ("model=series_vae", "data=series", f"data.path={prices}", "data.validation=0.3", "data.batch_size=64")
    run = train(tmp_path / "run", *words, "trainer.max_epochs=20", small=())
    found = use(run, "stress", "task.least=0.1")
    facts, risks = found["facts"], found["risk"]
    assert facts["synthetic"]["kurtosis"] > 2 and facts["synthetic"]["clustering"] > 0.02
    assert facts["synthetic"]["correlation"] == pytest.approx(facts["training"]["correlation"], abs=0.1)
    assert risks["synthetic"]["var_95%"] == pytest.approx(risks["training"]["var_95%"], rel=0.3)
    assert found["effective_paths"] > 500
