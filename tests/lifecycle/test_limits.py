"""Full disks, small memories, NaN, and damaged files: a message, and no partly written files."""

import csv
import errno
import shlex
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import yaml

from vaekit import commands, runs
from vaekit.limits import within_limits
from vaekit.refusal import Refusal
from vaekit.sweep_summary import find_done, summarize
from vaekit.tasks.shared.context import open_run
from vaekit.training.csv_logger import read_rows
from vaekit.training.module import Training


@pytest.mark.long
def test_a_full_disk_is_reported_and_the_last_checkpoint_is_complete(train, monkeypatch):
    save, count = torch.save, []

    def full(checkpoint, file):
        count.append(None)
        if len(count) < 3:  # the first epoch's two
            return save(checkpoint, file)
        file.write(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")  # as torch does

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        done = train(folder="run", epochs=3)
    assert done.code == 1 and "Traceback" not in done.err
    assert "No space left on device. Free some space. Then resume with ckpt_path=" in done.err
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 0, done.err


def run_out():
    torch.empty(10**15)


def run_out_on_a_device():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")


def run_out_in_rust():
    raise ValueError("Error while serializing: I/O error: Disk quota exceeded (os error 122)")


def replace_a_folder():
    with TemporaryDirectory() as folder:
        Path(folder, "a").touch()
        Path(folder, "b").mkdir()
        Path(folder, "a").replace(Path(folder, "b"))


def write_where_a_folder_is():
    Path("/").write_text("x")


@pytest.mark.parametrize(
    ("fail", "sentence"),
    [
        (write_where_a_folder_is, r"Cannot use /: Is a directory\. .*Move away"),
        (replace_a_folder, r"Cannot use .*/b: .*Move away"),
        (run_out, r"Out of memory .*Try less"),
        (run_out_on_a_device, r"Out of memory .*Try less"),
        (run_out_in_rust, r"Disk quota exceeded. Free some space. Then again"),
    ],
)
def test_missing_memory_and_disk_space_are_reported(fail, sentence):
    with pytest.raises(Refusal, match=sentence), within_limits("Try less.", "Then again."):
        fail()
    with pytest.raises(KeyError), within_limits("", ""):
        raise KeyError("another error")


def test_out_of_memory_says_which_batch_size_to_try(train, monkeypatch):
    monkeypatch.setattr(Training, "training_step", lambda *_: torch.empty(10**15))
    done = train(folder="run")
    assert done.code == 1 and "Try data.batch_size=64" in done.err and "Traceback" not in done.err


@pytest.mark.long
def test_after_nan_what_was_tried_is_not_suggested_again(train, monkeypatch):
    monkeypatch.setattr(Training, "_losses", lambda self, terms, epoch: (terms.log_px.mean(0) * float("nan"), {}))
    done = train("optimizer.lr=100", "trainer.gradient_clip_val=1")
    assert done.code == 1 and done.err.rstrip().endswith("Try optimizer.lr=0.001.")


@pytest.mark.long
def test_the_command_suggested_after_nan_works(train, monkeypatch):
    rates = []

    def poisoned(self, batch, batch_idx, call=Training.training_step):
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        loss = call(self, batch, batch_idx)
        return loss * float("nan") if self.global_step == 15 and rates[-1] > 5e-4 else loss

    monkeypatch.setattr(Training, "training_step", poisoned)
    done = train(folder="run", epochs=3)
    assert done.code == 1 and "not finite" in done.err
    advice = done.err.partition("Try ")[2].partition(", or ")[0]
    assert "ckpt_path=" in advice and "optimizer.lr=0.0001" in advice
    done = train(*shlex.split(advice), epochs=3)
    assert done.code == 0, done.err
    assert rates[-1] == pytest.approx(1e-4)


def test_a_folder_named_latest_is_not_replaced(train):
    Path("outputs/latest").mkdir(parents=True)
    Path("outputs/latest/mine").write_text("mine")
    done = train()
    assert done.code == 0, done.err
    assert "outputs/latest is a folder" in done.out
    assert Path("outputs/latest/mine").read_text() == "mine"
    assert runs.is_finished(Path("outputs/day/run0"))


@pytest.mark.parametrize("content", ["", "[1]", '{"status": "done"', "\0\0"])
def test_a_job_with_a_damaged_record_counts_as_unfinished(here, content):
    record = here / "sweep/0_seed-1/.hydra/job.json"
    record.parent.mkdir(parents=True)
    record.write_text(content)
    assert find_done(here / "sweep", ["seed=1"], "seed-1") is None
    assert summarize(here / "sweep")[0]["status"] == "unfinished"


@pytest.mark.long
def test_damaged_rows_of_metrics_are_left_out(train):
    assert train(folder="run").code == 0
    metrics = Path("run/metrics.csv")
    whole = read_rows(metrics)
    with metrics.open("a") as file:
        file.write("\0" * 40 + "\n12,0.5")
    assert read_rows(metrics) == whole
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 0 and "1 damaged rows were left out" in done.out, done.err
    with metrics.open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == sorted(steps) and steps[-1] == 22


@pytest.mark.long
def test_a_task_does_not_write_through_links(train, here, monkeypatch, capsys):
    assert train(folder="run").code == 0
    (here / "elsewhere").mkdir()
    for link in ("tasks", "tasks/sample"):
        (here / "run" / link).symlink_to(here / "elsewhere")
        monkeypatch.setattr(sys, "argv", ["apply.py", "task=sample", "run=run"])
        with pytest.raises(SystemExit):
            commands.apply()
        error = capsys.readouterr().err
        assert f"{link} is a link to" in error and "Traceback" not in error
        assert not list((here / "elsewhere").iterdir())
        (here / "run" / link).unlink()
        (here / "run/tasks").mkdir(exist_ok=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "run"


def section(key, value):
    def change(config):
        *path, last = key.split(".")
        for name in path:
            config = config[name]
        config[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        section("data", 0.5),
        section("data", None),
        section("data.module", []),
        section("data.module.source._target_", "vaekit.tasks.shared.classifier.Examples"),
        section("data.module.source", "vaekit.data.digits.Digits"),
        section("data.module._target_", "vaekit.spaces.Image"),
        section("data.module.validation", "x"),
        section("data.module.batch_size", {"a": 1}),
        section("data.module.seed", []),
        section("data.name", 3),
        section("evaluation", None),
        section("evaluation.num_samples", "many"),
        section("space.bins", []),
        section("space.shape", {"a": 1}),
        section("network", 0.5),
        section("latents.dim", None),
    ],
)
def test_an_edited_configuration_is_refused_with_a_message(train, here, kept, change):
    if not kept.exists():
        assert train(folder=kept).code == 0
    shutil.copytree(kept, "run")
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    change(config)
    Path("run/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(Refusal):
        _ = open_run("run", here, device="cpu").data
