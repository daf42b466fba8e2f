"""Audits of planted copies, of independent rows, and of what each kind of data writes."""

import json
import re

import numpy as np
import pytest
import torch

from vaekit.refusal import Refusal
from vaekit.tasks.audit import audit
from vaekit.tasks.shared.audit_report import WHAT
from vaekit.tasks.shared.context import open_run

from .conftest import train

N = 400


def save(path, rng, n):
    """A table of two dependent numbers, one of them often missing, and a category."""
    a = rng.normal(size=n)
    b = np.where(rng.random(n) < 0.3, "", np.char.mod("%.3f", a + rng.normal(size=n)))
    lines = (f"{x:.3f},{y},{'rst'[c]}" for x, y, c in zip(a, b, rng.integers(3, size=n), strict=True))
    path.write_text("\n".join(["a,b,c", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("audit"), np.random.default_rng(0)
    save(folder / "rows.csv", rng, N)
    save(folder / "others.csv", rng, N)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    small = ("model=table_vae", "network.hidden=[16]", "latents.dim=4", "data=table", "evaluation.num_samples=2")
    return train(folder / "run", f"data.path={folder}/rows.csv", "trainer.max_epochs=1", small=small)


@pytest.fixture
def context(run, tmp_path):
    torch.manual_seed(0)
    return open_run(run, tmp_path, device="cpu")


@pytest.fixture
def training_rows(context, folder, tmp_path):
    """A file with the training rows."""
    header, *lines = (folder / "rows.csv").read_text().splitlines()
    rows = context.data.in_order("train").indices.tolist()
    path = tmp_path / "copies.csv"
    path.write_text("\n".join([header, *(lines[row] for row in rows)]) + "\n")
    return path


def test_published_training_rows_are_caught(context, training_rows, capsys):
    found = audit(context, input=training_rows)
    assert {name: found[f"{name}/low"] > 0.8 for name in ("distance", "density")} == {"distance": True, "density": True}
    assert found["copies"] == 1
    assert found["columns"] == pytest.approx(found["columns_real"])
    assert found["pairs"] == pytest.approx(found["pairs_real"])
    assert "These rows are not anonymous." in capsys.readouterr().out
    assert "These rows are not anonymous." in (context.out / "report.html").read_text()


def test_rows_of_the_same_population_are_not(context, folder, capsys):
    found = audit(context, input=folder / "others.csv")
    assert all(found[f"{name}/low"] < 0.5 for name in WHAT)
    assert found["copies"] < 0.05
    assert 0.3 < found["c2st_auc"] < 0.7
    assert "No attack separates training rows from test rows" in capsys.readouterr().out


def test_the_report_is_one_file(context):
    found = audit(context, n=100, attacked=50)
    text = (context.out / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 3
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert f"{found['distance/auc']:.3f}" in text
    written = json.loads((context.out / "audit.json").read_text())
    assert written == {"rows": 100, "attacked": 50} | found


@pytest.mark.long
def test_images_and_vectors(digits, vectors):
    for context in (digits, vectors):
        found = audit(context, n=60, attacked=40)
        assert found.keys() >= {f"{name}/auc" for name in WHAT} | {"copies", "c2st_auc"}
        assert "columns" not in found
    assert (digits.out / "synthetic.png").is_file()


def test_rows_that_are_too_few_are_refused(context, tmp_path):
    (tmp_path / "few.csv").write_text("a,b,c\n1.000,,r\n")
    with pytest.raises(Refusal, match="has 1 rows, expected at least 10"):
        audit(context, input=tmp_path / "few.csv")
    with pytest.raises(Refusal, match=re.escape("task.attacked")):
        audit(context, attacked=3)


def test_categories_that_training_did_not_see_are_not_copies(context, training_rows, tmp_path):
    header, *lines = training_rows.read_text().splitlines()
    path = tmp_path / "unseen.csv"
    path.write_text("\n".join([header, *(line[:-1] + "unseen" for line in lines)]) + "\n")
    found = audit(context, input=path, attacked=50)
    assert found["copies"] == 0
    rows = (tmp_path / "report.html").read_text()
    assert re.search(r"c</td>\s*<td[^>]*>0\.000<", rows)


def test_cells_that_no_training_row_lacks_must_not_be_missing(context, training_rows, tmp_path):
    header, *lines = training_rows.read_text().splitlines()
    path = tmp_path / "holes.csv"
    path.write_text("\n".join([header, *("," + line.partition(",")[2] for line in lines[:20]), *lines[20:]]) + "\n")
    with pytest.raises(Refusal, match="has 20 rows without 'a', which no training row lacks"):
        audit(context, input=path)


def test_a_table_of_one_column_has_no_pairs(tmp_path):
    rows = tmp_path / "one.csv"
    rows.write_text("a\n" + "".join(f"{value:.3f}\n" for value in np.random.default_rng(0).normal(size=200)))
    small = ("model=table_vae", "network.hidden=[8]", "latents.dim=2", "data=table", "evaluation.num_samples=2")
    run = train(tmp_path / "run", f"data.path={rows}", "trainer.max_epochs=1", small=small)
    found = audit(open_run(run, tmp_path, device="cpu"), attacked=20)
    assert "columns" in found
    assert not {"pairs", "pairs_real"} & found.keys()
    assert "Pairs of columns" not in (tmp_path / "report.html").read_text()
