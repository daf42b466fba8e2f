"""`python benchmarks/tables.py`: measures against closed forms, the mixture against its equations, and the whole of it
on a small table.
"""

import itertools
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import mixture
import numpy as np
import pandas as pd
import pytest
import table_measures
import table_sets
import tables
import torch

from helpers import restored
from vaekit import commands

ROWS = """customer,age,town,active,score
a1,20,Ulm,TRUE,1.5
b2,30,?,FALSE,2.5
c3,?,Bonn,TRUE,2.5
d4,30,Ulm,FALSE,0.5
"""


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows whose class is known from their height and town."""
    rng = np.random.default_rng(seed)
    height, town = rng.normal(size=n), rng.choice(["Bonn", "Kiel", "Ulm"], n)
    tall = np.where(height > (town == "Ulm"), "yes", "no")
    return pd.DataFrame({"height": height, "weight": rng.normal(height), "town": town, "tall": tall})


@pytest.fixture(scope="module")
def table() -> table_sets.Table:
    return table_sets.Table(people(1000, 0), people(1000, 1), "tall")


# Tables ---------------------------------------------------------------------------------------------------------------


def test_columns_of_a_file_have_kinds(tmp_path):
    (tmp_path / "rows.csv").write_text(ROWS)
    table = table_sets.load(table_sets.source(f"people={tmp_path}/rows.csv:active", Path())[1], 0)
    assert table.target == "active" and table.numeric == ["score"]  # with age there would be two different numbers
    assert list(table.train) == ["age", "town", "active", "score"]  # without the name of a row
    assert len(table.train) == 3 and len(table.test) == 1
    table_sets.write(table.train, tmp_path / "train.csv")
    pd.testing.assert_frame_equal(table_sets.read(tmp_path / "train.csv", table), table.train)
    last = table_sets.source(f"people={tmp_path}/rows.csv", Path())[1]
    assert table_sets.load(last, 0).target == "score"


def test_every_row_is_either_trained_on_or_held_out(tmp_path):
    pd.DataFrame({"number": range(100), "even": ["no", "yes"] * 50}).to_csv(tmp_path / "rows.csv", index=False)
    splits = []
    for seed in (0, 0, 1):
        table = table_sets.load(table_sets.source(f"numbers={tmp_path}/rows.csv", Path())[1], seed)
        assert sorted([*table.train["number"], *table.test["number"]]) == list(range(100)) and len(table.test) == 10
        splits.append(set(table.test["number"]))
    assert splits[0] == splits[1] != splits[2]


# Measures -------------------------------------------------------------------------------------------------------------


def test_a_copy_covers_the_table_and_is_caught(table):
    found = table_measures.coverage(table, table.train)
    assert found == pytest.approx({"alpha-precision": 1, "beta-recall": 1}, abs=0.01)
    assert table_measures.membership(table, table.train) == {"attack AUC": 1}
    assert table_measures.utility(table, table.train)["AUC"] > 0.99


def test_new_rows_of_the_same_distribution_cover_the_table_and_betray_nobody(table):
    other = people(1000, 2)
    found = table_measures.coverage(table, other) | table_measures.membership(table, other)
    assert found["alpha-precision"] > 0.9
    assert 0.3 < found["beta-recall"] < 0.6  # of two rows either may be the nearer one, and the diagonal is 1 at 1
    assert found["attack AUC"] == pytest.approx(0.5, abs=0.05)
    assert table_measures.utility(table, other)["AUC"] > 0.99


def test_rows_of_the_mean_alone_have_no_precision_and_no_recall(table):
    rows = table.train.copy()
    rows["height"], rows["weight"] = rows["height"].mean(), rows["weight"].mean()
    rows["town"], rows["tall"] = "Kiel", "no"
    found = table_measures.coverage(table, rows)
    assert found["beta-recall"] < 0.1 and found["alpha-precision"] < 0.6


def test_a_class_at_random_cannot_be_learned(table):
    shuffled = table.train.assign(tall=table.train["tall"].sample(frac=1, random_state=0).to_numpy())
    assert table_measures.utility(table, shuffled)["AUC"] == pytest.approx(0.5, abs=0.1)


def test_a_numeric_target_has_rmse_and_r2(table):
    of_height = table._replace(target="weight")  # its noise has the standard deviation 1, and half of the variance
    found = table_measures.utility(of_height, table.train)
    assert found["RMSE"] == pytest.approx(1.05, abs=0.1) and found["R2"] == pytest.approx(0.45, abs=0.1)


def test_missing_and_unseen_cells_are_measured(table):
    rows = table.train.assign(town="Rom")
    rows.loc[::2, "height"] = np.nan
    for measure in (table_measures.utility, table_measures.coverage, table_measures.membership):
        assert all(np.isfinite(each) for each in measure(table, rows).values())


def test_sdmetrics_finds_a_copy_perfect_and_a_shifted_column(table):
    pytest.importorskip("sdmetrics")
    assert table_measures.quality(table, table.train) == pytest.approx({"columns": 1, "pairs": 1})
    assert min(table_measures.detection(table, table.train).values()) > 0.95
    shifted = table.train.assign(height=table.train["height"] + 100)
    found = table_measures.quality(table, shifted) | table_measures.detection(table, shifted)
    assert found["columns"] == pytest.approx(0.75)
    assert found["C2ST LR"] == pytest.approx(0, abs=1e-6)


# The mixture ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fitted():
    codes = np.random.default_rng(0).integers(0, [2, 3], (500, 2))
    codes[:, 1] = np.where(codes[:, 0] == 0, 0, codes[:, 1])
    return mixture.Mixture(codes, components=4, smoothing=0.5, seed=0)


def test_log_likelihood_never_falls(fitted):
    found = [fitted.step() for _ in range(30)]
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(found))
    assert found[-1] > found[0] + 0.1


def test_the_mixture_sums_to_one_and_draws_follow_it(fitted):
    for _ in range(30):
        fitted.step()
    every = torch.cartesian_prod(torch.arange(2), torch.arange(3))
    p = fitted.log_joint(every + torch.tensor([0, 2])).logsumexp(1).exp()
    torch.testing.assert_close(p.sum(), torch.tensor(1.0))
    drawn = fitted.draw(20_000, np.random.default_rng(0))
    frequency = torch.tensor([(drawn == each.numpy()).all(1).mean() for each in every])
    torch.testing.assert_close(frequency.float(), p, atol=0.02, rtol=0)
    seen = torch.bincount(fitted.rows[:, 0] * 3 + fitted.rows[:, 1] - 2, minlength=6) / len(fitted.rows)
    torch.testing.assert_close(p, seen, atol=0.01, rtol=0)  # four components suffice


def test_drawn_rows_keep_spikes_missing_cells_and_dependence():
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(4000) < 0.6, 0.0, rng.normal(10, 1, 4000))
    amount[rng.random(4000) < 0.1] = np.nan
    rows = pd.DataFrame({"amount": amount, "pays": np.where(amount > 0, "yes", "no")})
    made = mixture.synthesize(rows, 4000, 0, components=20, bins=20, smoothing=0.1, steps=30)
    assert set(made["amount"].dropna()) <= set(rows["amount"])
    for share in (lambda x: (x["amount"] == 0).mean(), lambda x: x["amount"].isna().mean()):
        assert share(made) == pytest.approx(share(rows), abs=0.03)
    assert (made["pays"] == np.where(made["amount"] > 0, "yes", "no")).mean() > 0.97


# The benchmark --------------------------------------------------------------------------------------------------------


def in_process(script: str, *words: str) -> None:
    """`python SCRIPT *words`."""
    quick = patch("vaekit.training.run.draw_run")
    with restored(), redirect_stdout(sys.stderr), patch("sys.argv", [script, *words]), quick:
        try:
            commands.train() if script == "train.py" else commands.apply()
        except SystemExit as end:
            if end.code:
                raise


@pytest.mark.long
def test_tables_are_compared_and_nothing_is_done_twice(tmp_path, monkeypatch, capsys):
    people(200, 0).to_csv(tmp_path / "people.csv", index=False)
    tiny = "model=table_vae network.hidden=[8] latents.dim=2 trainer.max_epochs=1 trainer=cpu"
    words = [f"people={tmp_path}/people.csv:tall", "seeds=2", "methods=held_out,resampled,mixture"]
    extra = [f"vae: {tiny}", f"flow: {tiny} | prior=flow_matching prior.width=8 task.epochs=1"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(tables, "call", in_process)
    monkeypatch.setattr("sys.argv", ["tables.py", *words, *extra])
    tables.main()
    printed = capsys.readouterr().out
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in printed.splitlines() if line.startswith("| ")}
    assert list(rows)[2:] == ["held_out", "resampled", "mixture", "vae", "flow"]
    assert all("±" in line and "nan" not in line for line in list(rows.values())[2:])
    assert "180 training and 20 held-out rows" in printed
    for seed in range(2):
        assert len(list((tmp_path / "results/people" / str(seed) / "runs").iterdir())) == 2  # both use one training

    monkeypatch.setattr(tables, "call", lambda *_: pytest.fail("a finished run was repeated"))
    monkeypatch.setattr(tables, "mixture", lambda *_: pytest.fail("a finished mixture was repeated"))
    file = tmp_path / "results/people/1/rows/mixture.json"
    found = json.loads(file.read_text())
    file.write_text(json.dumps({name: part for name, part in found.items() if name != "coverage"}))
    tables.main()
    assert capsys.readouterr().out == printed
    assert json.loads(file.read_text())["coverage"] == pytest.approx(found["coverage"])
