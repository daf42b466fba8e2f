"""A multirun: each job has its own folder, a table lists all, and a failed job does not stop the others."""

import csv
import json
import os
from pathlib import Path

import pytest

from vaekit.folders import job_folder


@pytest.mark.long
def test_jobs_that_work_and_jobs_that_do_not(train_apart, here):
    done = train_apart("--multirun", "seed=1,2", "objective.num_samples=1,0", "trainer.max_epochs=1", "logger=wandb",
                       WANDB_MODE="offline", WANDB_SILENT="true")  # fmt: skip
    assert done.code == 1
    assert "use objective.num_samples=1" in done.err and "Traceback" not in done.err
    (sweep,) = Path("outputs/multirun").glob("*/*")
    with (sweep / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "failed", "done", "failed"]
    assert ["seed=1" in row["overrides"] for row in rows] == [True, True, False, False]
    assert "use objective.num_samples=1" in rows[1]["error"] and not rows[1]["test/nll"]
    assert rows[0]["test/nll"] != rows[2]["test/nll"]
    for row in (rows[0], rows[2]):
        metrics = json.loads((sweep / row["job"] / "metrics.json").read_text())
        assert float(row["test/nll"]) == float(f"{metrics['test/nll']:.6g}")
        assert len(list((sweep / row["job"] / "wandb").glob("offline-run-*"))) == 1
    assert done.out.rstrip().endswith("┘") and "summary.csv" in done.out
    assert Path("outputs/latest").resolve() == (sweep / rows[2]["job"]).resolve()
    assert not os.path.isabs(os.readlink("outputs/latest"))


def test_a_job_folder_name_is_valid_and_needs_no_quotes():
    name = job_folder("nowhere", 3, ["data.path=/a/b c.npy", "network.hidden=[1,2]", "sweep=grid", "x" * 500])
    assert name.startswith("3_data.path-a-b-c.npy_network.hidden-1-2-_xxx")
    assert len(name) <= 120 and name != job_folder("nowhere", 3, ["data.path=/a/b c.npy", "x" * 501])
    assert job_folder("nowhere", 0, []) == "0"


@pytest.mark.long
def test_the_splits_do_not_change_with_the_seed(train, monkeypatch):
    from vaekit.data.module import DataModule

    splits, orders = [], []
    load = DataModule.setup

    def watched(self, stage=None):
        load(self, stage)
        splits.append({name: indices.tolist() for name, (_, indices, _) in self._splits.items()})
        orders.append(next(iter(self.train_dataloader())).label.tolist())

    monkeypatch.setattr(DataModule, "setup", watched)
    for seed in (1, 2):
        assert train(f"seed={seed}", "evaluation.num_samples=1").code == 0
    assert all(split == splits[0] for split in splits)
    assert orders[0] != orders[-1]
