"""What tasks write for a table with missing cells, and cells that training did not see."""

import csv
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import torch

import vaekit
from helpers import write_run
from vaekit.data.table import Table, read
from vaekit.refusal import Refusal
from vaekit.tasks.detect import detect
from vaekit.tasks.impute import impute
from vaekit.tasks.score import score
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.synthesize import synthesize

from .conftest import train

N = 800
TOWNS = ("Bonn", "Kiel", "Ulm")


def save(path, **columns):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """people.csv: nobody in Ulm has an income, elsewhere a tenth has none; it is a multiple of 50."""
    rng = np.random.default_rng(0)
    town = rng.integers(3, size=N)
    income = 50 * np.exp(rng.normal(3, 1, N)).astype(int)
    gone = (town == 2) | (rng.random(N) < 0.1)
    folder = tmp_path_factory.mktemp("people")
    save(
        folder / "people.csv",
        town=[TOWNS[i] for i in town],
        income=["" if none else f"{each}.0" for each, none in zip(income, gone, strict=True)],
        hour=[str(each) for each in rng.integers(0, 24, N)],
    )
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    small = ("model=table_vae", "network.hidden=[32]", "latents.dim=4", "data=table", "data.batch_size=32")
    small += ("optimizer.lr=1e-2", "trainer.max_epochs=40", "evaluation.num_samples=2")
    return train(tmp_path_factory.mktemp("run") / "run", f"data.path={folder}/people.csv", small=small)


@pytest.fixture
def context(run, tmp_path):
    torch.manual_seed(0)
    return open_run(run, tmp_path, device="cpu")


@pytest.mark.long
def test_missing_cells_are_written_where_the_file_lacks_them(context, folder):
    synthesize(context, n=2000)
    made, real = read(context.out / "synthetic.csv"), read(folder / "people.csv")
    shares = {
        town: np.mean([cell is None for cell, each in zip(made["income"], made["town"], strict=True) if each == town])
        for town in TOWNS
    }
    assert shares["Ulm"] > max(shares["Bonn"], shares["Kiel"]) + 0.3  # 1 and 0.1 in the file
    known = [cell for cell in made["income"] if cell is not None]
    assert all(cell.endswith(".0") and float(cell) % 50 == 0 for cell in known)
    assert max(map(float, known)) <= max(float(cell) for cell in real["income"] if cell is not None)
    assert {*made["hour"]} <= {str(hour) for hour in range(24)}
    assert None not in made["town"] + made["hour"]


def test_imputed_cells_are_never_empty(context, folder):
    impute(context, input=folder / "people.csv", updates=20, num_samples=20)
    filled, real = read(context.out / "imputed.csv"), read(folder / "people.csv")
    assert None not in filled["income"] and filled["town"] == real["town"]
    assert all(new == old for new, old in zip(filled["income"], real["income"], strict=True) if old is not None)
    assert None not in read(context.out / "draw_1.csv")["income"]


def test_hidden_cells_are_scored_next_to_baselines(context):
    found = impute(context, hole="random", updates=20, num_samples=20)
    assert torch.isfinite(found.nll).all()
    assert (context.out / "metrics.json").is_file()


def test_rows_with_unseen_cells_are_scored_and_unusual(context, tmp_path, caplog):
    rows = {"town": ["Bonn"] * 4, "income": ["900.0"] * 4, "hour": ["12"] * 4}
    rows = {**rows, "town": ["Bonn", "Rome", "Bonn", "Bonn"], "income": ["900.0", "900.0", "90000.0", "900.0"]}
    rows["hour"][3] = "40"
    more = save(tmp_path / "more.csv", **rows)
    log_px = score(context, input=more, num_samples=500)
    assert (log_px[1:] < log_px[0] - 3).all()
    (warning,) = [record.getMessage() for record in caplog.records if "training did not see" in record.getMessage()]
    assert "3 rows" in warning and "town: 1, income: 1, hour: 1" in warning
    found = detect(context, input=more)
    assert (found["p/nll"][1:] < found["p/nll"][0]).all() and (found["p/nll"][1:] <= 0.1).all()


def test_a_task_names_the_table_of_its_input_and_the_data_stay_those_of_the_run(tmp_path, apply):
    rows = {"town": ["Ulm", "Bonn", "Kiel", "Ulm"] * 10, "income": [*map(str, range(20))] * 2}
    path = save(tmp_path / "people.csv", **rows)
    words = ("model=table_vae", "network.hidden=[8]", "latents.dim=2", "data=table", f"data.path={path}")
    run = write_run(tmp_path / "run", Table(path).space, *words)
    with closing(sqlite3.connect(tmp_path / "new.db")) as database:
        for name, count in (("visitors", 3), ("staff", 2)):
            database.execute(f"CREATE TABLE {name} (town, income)")
            database.executemany(f"INSERT INTO {name} VALUES (?, ?)", [("Ulm", None)] * count)
        database.commit()
    words = (f"run={run}", f"task.input={tmp_path}/new.db", "device=cpu", "task.num_samples=2")
    code, printed = apply("task=score", *words)
    assert code == 1
    assert "new.db has 2 tables, expected one of visitors, staff. Try data.table=visitors." in printed
    assert apply("task=score", "data.table=staff", *words)[0] == 0
    assert len((run / "tasks/score/scores.csv").read_text().splitlines()) == 1 + 2
    code, printed = apply("task=impute", "task.updates=0", "task.draws=1", "data.table=visitors", *words)
    assert code == 0, printed
    assert len((run / "tasks/impute/imputed.csv").read_text().splitlines()) == 1 + 3
    assert len(vaekit.open(run, data={"table": "visitors"}).score(tmp_path / "new.db", num_samples=2)) == 3
    other = open_run(run, tmp_path, device="cpu", data={"path": f"{tmp_path}/new.db", "table": "staff"})
    with pytest.raises(Refusal, match="only missing cells"):  # without an input, it is the table of the data
        _ = other.data
