"""CSV files, plain and safe for spreadsheets."""

import csv

import pytest
import torch
from PIL import Image

from helpers import GRAY, write_run
from vaekit.csv_file import write_csv
from vaekit.media.medium import medium
from vaekit.spaces import Series, Table
from vaekit.spaces.column import Column
from vaekit.tasks.score import score
from vaekit.tasks.shared.context import open_run

FORMULAS = ["=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-2+3", "-x", "\t=1", "＝1+1"]  # noqa: RUF001
PLAIN = ["", "a=b", "-10", "+3,5", "-1.5e-07", "-12.5%", "x", "1;=2"]


def read(path, separator=","):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=separator))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_cells_are_unchanged_or_escaped(tmp_path, separator):
    rows = [["=name", "n"], *([cell, -1] for cell in FORMULAS + PLAIN)]
    write_csv(tmp_path / "x.csv", rows, separator)
    assert read(tmp_path / "x.csv", separator) == [[str(cell) for cell in row] for row in rows]
    write_csv(tmp_path / "x.csv", rows, separator, spreadsheet=True)
    cells = [name for name, n in read(tmp_path / "x.csv", separator) if n != "n"]
    assert cells == [f"'{cell}" for cell in FORMULAS] + PLAIN
    assert (tmp_path / "x.csv").read_text(encoding="utf-8").startswith(f'"\'=name"{separator}"n"\n')
    assert '"1;=2"' in (tmp_path / "x.csv").read_text(encoding="utf-8"), "another separator splits no cell"


def test_each_task_writes_what_a_spreadsheet_may_open(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "images" / "=1+1.png")
    run = write_run(tmp_path / "run", GRAY, "model=mlp_vae", "network.hidden=[16]", "likelihood=categorical")
    for spreadsheet, name in ((False, "=1+1.png"), (True, "'=1+1.png")):
        (out := tmp_path / name).mkdir()
        score(open_run(run, out, device="cpu", spreadsheet=spreadsheet), input=tmp_path / "images", num_samples=2)
        assert read(out / "scores.csv")[1][0] == name


def test_series_and_tables_are_escaped(tmp_path):
    series = Series((1, 4), ["=a"], [0.0], [1.0])
    table = Table.of([Column("=b", "binary", ["=no", "-2+3"]), Column("n", "count")])
    for space in (series, table):
        written = medium(space, spreadsheet=True)
        written.write(tmp_path / "x", torch.zeros(2, *space.shape), 1)
        assert not any(cell[:1] in ("=", "-") for row in read(tmp_path / "x.csv") for cell in row)
