"""SIGTERM, and SLURM's signal: a checkpoint at once, code 143, and a resumption that is the same to the bit."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import yaml

from helpers import assert_same
from vaekit import commands
from vaekit.folders import claim, requeued
from vaekit.refusal import Refusal
from vaekit.training.module import Training


def sent_at(monkeypatch, step, number=signal.SIGTERM):
    """Send the signal to this process in the training step of this number."""

    def watched(self, batch, batch_idx, call=Training.training_step):
        if self.global_step == step:
            os.kill(os.getpid(), number)
        return call(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", watched)


@pytest.mark.long
@pytest.mark.parametrize("step", [0, 4, 10, 15, 21], ids=["first", "middle", "epoch's last", "second epoch", "last"])
def test_a_terminated_run_resumes_as_if_uninterrupted(train, monkeypatch, step):
    words = ["data.binarize=dynamic", "likelihood=bernoulli", "callbacks=ema", "optimizer/decay=cosine",
             "trainer.accumulate_grad_batches=1", "trainer.log_every_n_steps=1"]  # fmt: skip
    assert train(*words, folder="whole", epochs=2).code == 0
    with monkeypatch.context() as patch:
        sent_at(patch, step)
        done = train(*words, folder="run", epochs=2)
    assert done.code == 143 and "Traceback" not in done.err
    last = Path("run/checkpoints/last.ckpt").resolve()
    assert done.out.splitlines()[-1].startswith("Interrupted; to resume, repeat it with ckpt_path=")
    assert torch.load(last, weights_only=True)["global_step"] == step + 1
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert train(*words, f"ckpt_path={last}", epochs=2).code == 0
    assert_same("run", "whole")


@pytest.mark.long
def test_a_stopped_sweep_is_continued(train, monkeypatch):
    words = ["--multirun", "hydra.sweep.dir=sweep", "seed=1,2,3"]
    with monkeypatch.context() as patch:
        trained = []

        def watched(self, batch, batch_idx, call=Training.training_step):
            trained.append((self.seed, self.global_step))
            if (self.seed, self.global_step) == (2, 4):
                os.kill(os.getpid(), signal.SIGTERM)
            return call(self, batch, batch_idx)

        patch.setattr(Training, "training_step", watched)
        assert train(*words).code == 143
        assert {seed for seed, _ in trained} == {1, 2}
        trained.clear()
        done = train(*words)
    assert done.code == 0, done.err
    assert trained == [(2, step) for step in range(5, 11)] + [(3, step) for step in range(11)]


@pytest.mark.slow
def test_several_processes_stop_at_the_same_step(start, train_apart):
    words = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.log_every_n_steps=5",
             "data.batch_size=8", "hydra.run.dir=run", "trainer.max_epochs=200"]  # fmt: skip
    parent = start(*words)
    while not Path("run/metrics.csv").exists():
        assert parent.poll() is None, parent.communicate()
        time.sleep(0.1)
    parent.send_signal(signal.SIGTERM)
    out, err = parent.communicate(timeout=60)
    assert parent.returncode == 143, err
    step = torch.load("run/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert "ckpt_path=" in out.splitlines()[-1] and step > 0
    done = train_apart(*words[:-2], f"trainer.max_epochs={step // 81 + 1}", "ckpt_path=run/checkpoints/last.ckpt")
    assert done.code == 0, done.err


@pytest.mark.long
def test_slurm_queues_a_job_again_and_it_goes_on(train, here, monkeypatch):
    (here / "bin").mkdir()
    (here / "bin/scontrol").write_text(f"#!/bin/sh\necho $* >> {here}/asked\n")
    (here / "bin/scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    words = ["seed=3"]
    assert train(*words, stamped=False, epochs=2, folder=None).code == 0
    with monkeypatch.context() as patch:
        sent_at(patch, 4, signal.SIGUSR1)
        assert train(*words, "tags=[a]", stamped=False, epochs=2).code == 143
    assert (here / "asked").read_text() == "requeue 7\n"
    before = sorted(path.name for path in Path("outputs/slurm").iterdir())
    assert len(before) == 2 and all(name.startswith("7-") for name in before)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    done = train(*words, "tags=[a]", stamped=False, epochs=2)
    assert done.code == 0, done.err
    assert sorted(path.name for path in Path("outputs/slurm").iterdir()) == before
    folder = max(Path("outputs/slurm").iterdir())
    assert yaml.safe_load((folder / "config.yaml").read_text())["tags"] == ["a"]
    assert_same(folder, min(Path("outputs/slurm").iterdir()))
    assert requeued(["seed=4"]) is None


@pytest.mark.long
@pytest.mark.parametrize("content", [None, "", "a: [", "- 1\n- x", "[" * 5000, "\0", "null"])
def test_a_requeued_job_with_damaged_overrides_is_refused(here, monkeypatch, content):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    for name, text in (("7-a", content), ("7-b", "- seed=2\n")):
        folder = here / "outputs/slurm" / name
        for file in ("checkpoints/last.ckpt", ".hydra/overrides.yaml"):
            (folder / file).parent.mkdir(parents=True)
            (folder / file).write_text(text or "")
    if content is None:
        (here / "outputs/slurm/7-a/.hydra/overrides.yaml").unlink()
    assert requeued(["seed=2"])[0] == Path("outputs/slurm/7-b"), "the folder of this very job"
    with pytest.raises(
        Refusal, match=r"7-a/\.hydra/overrides\.yaml is missing or damaged.*ckpt_path=outputs/slurm/7-a/"
    ):
        requeued(["seed=3"])
    monkeypatch.setattr(sys, "argv", ["train.py", "seed=3"])
    with pytest.raises(SystemExit, match="is missing or damaged"):
        commands.train()
    assert requeued(["seed=3", "hydra.run.dir=new"]) is None


# A folder belongs to one run ------------------------------------------------------------------------------------------


@pytest.mark.long
def test_two_runs_of_one_process_have_folders_of_their_own(train):
    for _ in range(2):
        done = train(stamped=False)
        assert done.code == 0, done.err
    assert len({path.resolve() for path in Path("outputs").glob("*/*/metrics.json")}) == 2
    assert "VAEKIT_STAMP" not in os.environ


@pytest.mark.long
def test_the_folder_of_another_run_is_refused(train):
    assert train(folder="run").code == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    for words in ([], ["latents.dim=2"]):
        done = train(*words, folder="run")
        assert done.code == 1 and "Traceback" not in done.err
        assert "holds a run already" in done.err and "ckpt_path=run/checkpoints/last.ckpt" in done.err
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


def test_a_second_run_in_the_same_folder_is_refused(train, monkeypatch):
    inner = []

    def watched(self, batch, batch_idx, call=Training.training_step):
        if self.global_step == 5 and not inner:
            with pytest.raises(Refusal, match="Another process is training in run") as refused, claim(Path("run")):
                pass
            inner.append(refused)
        return call(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", watched)
    assert train(folder="run").code == 0
    assert inner
    assert not Path("run/.lock").exists()


@pytest.mark.long
def test_a_run_does_not_write_through_links(train, here):
    assert train(folder="run", figures=True).code == 0
    (here / "elsewhere").mkdir()
    Path("run/figures").rename("run/pictures")
    Path("run/figures").symlink_to(here / "elsewhere")
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 1 and "figures is a link to" in done.err and "Traceback" not in done.err
    assert not list((here / "elsewhere").iterdir())


def test_signals_are_ignored_outside_of_the_main_thread(train):
    ends = []
    thread = threading.Thread(target=lambda: ends.append(train(folder="run").code))
    thread.start()
    thread.join()
    assert ends == [0]
