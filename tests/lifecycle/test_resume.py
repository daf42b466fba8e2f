"""A run that is killed and resumed ends as if nothing had happened."""

import csv
import json
import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vaekit.callbacks.whole_checkpoints import WholeCheckpoints
from vaekit.refusal import Refusal
from vaekit.runs import check_resumption, write_config, write_metrics
from vaekit.spaces import Real


def rows(folder):
    with (Path(folder) / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def assert_same(a, b):
    """The same numbers, to the last bit."""
    a, b = Path(a), Path(b)
    weights = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (a / "metrics.json").read_text() == (b / "metrics.json").read_text()
    assert rows(a) == rows(b)


def test_killed_within_an_epoch_and_resumed(start, train_apart):
    words = ["data.batch_size=8", "trainer.max_epochs=3", "optimizer/decay=cosine", "optimizer.warmup=1"]
    killed = start(*words, "hydra.run.dir=outputs/killed")
    folder = Path("outputs/killed")
    while not (folder / "checkpoints/last.ckpt").exists() or not any(row["epoch"] == "1" for row in rows(folder)):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (folder / "model.safetensors").exists()

    resumed = train_apart(*words, "ckpt_path=last")
    assert resumed.code == 0, resumed.err
    assert train_apart(*words, "hydra.run.dir=whole").code == 0
    assert_same(folder, "whole")
    assert [path.name for path in Path("outputs").iterdir() if not path.is_symlink()] == ["killed"]


# each as if the run had been stopped after its second epoch of four
@pytest.mark.parametrize(
    "words",
    [
        ["callbacks=ema", "trainer.accumulate_grad_batches=2"],
        ["optimizer/decay=plateau", "optimizer.decay.patience=0", "optimizer.lr=0.3", "optimizer.warmup=0.5"],
        ["optimizer/decay=step", "optimizer.decay.epochs=[1,3]", "schedule@objective.beta=cyclical"],
        ["penalty=[factor,total_correlation]", "penalty.factor.hidden=[16]", "schedule@penalty.factor.weight=linear",
         "optimizer/decay=cosine", "trainer.gradient_clip_val=1", "trainer.accumulate_grad_batches=2"],
        ["trainer.check_val_every_n_epoch=2", "objective=iwae", "objective.num_samples=3", "data.dequantize=true",
         "likelihood=gaussian"],
    ],
    ids=["ema", "plateau", "step", "critic", "iwae"],
)  # fmt: skip
def test_resumed_from_an_earlier_checkpoint(train, monkeypatch, words):
    saved = WholeCheckpoints.save_checkpoint

    def save_and_keep(self, checkpoint, path, storage_options=None):
        saved(self, checkpoint, path)
        if checkpoint["epoch"] == 1 and not Path("half").exists() and Path(path).stem == "last":
            shutil.copytree("whole", "half")

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", save_and_keep)
    whole = train(*words, folder="whole", epochs=4)
    assert whole.code == 0, whole.err
    resting = Path("whole").rename("done")  # Lightning's checkpoints name the folder in which they lie
    Path("half").rename("whole")
    resumed = train(*words, "ckpt_path=whole/checkpoints/last.ckpt", epochs=4)
    assert resumed.code == 0, resumed.err
    assert_same(resting, "whole")


def test_the_same_command_gives_the_same_numbers_and_another_seed_does_not(train):
    assert train(folder="a").code == train(folder="b").code == train("seed=2", folder="c").code == 0
    assert_same("a", "b")
    assert json.loads(Path("a/metrics.json").read_text()) != json.loads(Path("c/metrics.json").read_text())


def test_validation_does_not_touch_training(train):
    words = {"on": [], "off": ["+trainer.limit_val_batches=0"], "often": ["+trainer.val_check_interval=3"]}
    weights = {}
    for folder in words:
        done = train(*words[folder], folder=folder, epochs=2)
        assert done.code == 0, done.err
        weights[folder] = torch.load(f"{folder}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for folder in ("off", "often"):
        assert all(torch.equal(weights["on"][name], weights[folder][name]) for name in weights["on"])


def test_a_finished_run_goes_on_where_it_ended_and_is_tested_anew(train):
    words = ["optimizer/decay=cosine"]
    assert train(*words, folder="outputs/run", epochs=1).code == 0
    done = train(*words, "ckpt_path=last", epochs=2)
    assert done.code == 0, done.err
    steps = [int(row["step"]) for row in rows("outputs/run")]
    assert steps == sorted(set(steps)) and steps[-1] == 22
    assert sum("test/nll" in row for row in rows("outputs/run")) == 1
    last = torch.load("outputs/run/checkpoints/last.ckpt", weights_only=True)
    assert last["optimizer_states"][0]["param_groups"][0]["lr"] == 0  # the cosine ends where the longer run does


def test_another_model_is_refused_with_the_overrides_of_the_first(train):
    assert train("latents.dim=3", folder="outputs/run").code == 0
    before = {path: path.read_bytes() for path in Path("outputs").rglob("*") if path.is_file()}
    done = train("ckpt_path=last", "trainer.max_epochs=2")
    assert done.code == 1
    assert "another latents" in done.err and "latents.dim=3" in done.err and "Traceback" not in done.err
    assert before == {path: path.read_bytes() for path in Path("outputs").rglob("*") if path.is_file()}
    again = shlex.split(done.err.partition("repeat its overrides: ")[2].splitlines()[0])
    assert train(*again, epochs=2).code == 0


@pytest.mark.parametrize("ckpt_path", ["last", "nowhere/checkpoints/last.ckpt", "loose.ckpt"])
def test_a_checkpoint_that_is_not_there_is_refused_and_nothing_is_made(train, here, ckpt_path):
    (here / "loose.ckpt").touch()
    done = train(f"ckpt_path={ckpt_path}")
    assert done.code == 1
    assert "leads to no checkpoint" in done.err and "Traceback" not in done.err
    assert [path.name for path in here.iterdir()] == ["loose.ckpt"]


def test_a_run_resumed_through_latest_stays_where_it_is(train):
    assert train().code == 0
    done = train("ckpt_path=outputs/latest/checkpoints/last.ckpt", epochs=2)
    assert done.code == 0, done.err
    assert os.readlink("outputs/latest") == "day/run0" and Path("outputs/latest/metrics.json").is_file()


@pytest.mark.parametrize(
    ("name", "kept", "message"),
    [
        ("checkpoints/last.ckpt", 1, "last.ckpt is damaged"),
        ("checkpoints/last.ckpt", 20_000, "last.ckpt is damaged"),
        ("config.yaml", 200, "config.yaml is damaged; delete it"),
    ],
)
def test_a_damaged_file_is_refused_by_name(train, name, kept, message):
    assert train(folder="run").code == 0
    damaged = Path("run", name)
    damaged.write_bytes(damaged.read_bytes()[:kept])
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 1 and message in done.err and "Traceback" not in done.err


def test_a_configuration_is_damaged_wherever_it_was_cut(train):
    assert train(folder="run").code == 0
    config = Path("run/config.yaml")
    whole = config.read_text()
    for kept in range(0, whole.index("\nspace:"), 23):
        config.write_text(whole[:kept])
        with pytest.raises(Refusal, match="is damaged; delete it"):
            check_resumption(Path("run/checkpoints/last.ckpt"), {}, Real((1,)))


def test_half_a_checkpoint_never_bears_its_name(here, monkeypatch):
    (here / "last.ckpt").write_text("whole")

    def killed(checkpoint, path):
        Path(path).write_text("ha")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        WholeCheckpoints().save_checkpoint({}, here / "last.ckpt")
    assert (here / "last.ckpt").read_text() == "whole"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("config.yaml", lambda folder: write_config(folder, {"seed": 1}, Real((1,)))),
        ("metrics.json", lambda folder: write_metrics(folder, {"test/nll": 1.0})),
    ],
)
def test_half_a_file_of_a_run_never_bears_its_name(here, monkeypatch, name, write):
    (here / name).write_text("whole")

    def full(path, text):
        with path.open("w") as file:
            file.write(text[:5])
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            write(here)
    assert (here / name).read_text() == "whole"
    write(here)
    assert len((here / name).read_text()) > 5
