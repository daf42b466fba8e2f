"""Several processes are one run: one folder, one set of hyper-parameters, one set of figures."""

import inspect
import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml
from lightning.fabric.strategies.launchers import subprocess_script as fabric
from lightning.pytorch.strategies.launchers import subprocess_script

from vaekit.processes import one_job, quoted

DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
SPY = """
import json, os, lightning.pytorch as L
class Spy(L.Callback):
    def on_train_end(self, trainer, module):
        (group,) = trainer.optimizers[0].param_groups
        seen = {"rank": trainer.global_rank, "seed": module.seed, "lr": group["lr"], "folder": trainer.default_root_dir}
        with open(os.environ["SEEN"], "a") as file:
            file.write(json.dumps(seen) + os.linesep)
"""


def test_lightning_still_asks_the_function_that_is_replaced_for_its_command():
    assert list(inspect.signature(fabric._hydra_subprocess_cmd).parameters) == ["local_rank"]
    source = inspect.getsource(subprocess_script._SubprocessScriptLauncher._call_children_scripts)
    assert "command, cwd = _hydra_subprocess_cmd(local_rank)" in source


def test_nothing_of_a_job_is_left_for_the_next(here, monkeypatch):
    monkeypatch.setenv("NODE_RANK", "3")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    before = subprocess_script._hydra_subprocess_cmd
    with one_job(here):
        assert subprocess_script._hydra_subprocess_cmd is not before
        os.environ |= {"LOCAL_RANK": "1", "NODE_RANK": "1"}
    assert subprocess_script._hydra_subprocess_cmd is before
    assert "LOCAL_RANK" not in os.environ and os.environ["NODE_RANK"] == "3"


@pytest.mark.parametrize("path", ["a b/c=d,e", "it's [1]", "back\\slash"])
def test_paths_of_any_name_are_passed_on(path):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert OverridesParser.create().parse_override(f"key={quoted(Path(path))}").value() == path


def test_a_sweep_of_two_processes_each(train_apart, here):
    (here / "spy.py").write_text(SPY)
    spy = ["+callbacks.spy._target_=spy.Spy"]
    words = ["--multirun", *DDP, *spy, "seed=1,2", "optimizer.lr=0.01", "trainer.max_epochs=1"]
    done = train_apart(*words, PYTHONPATH=str(here), SEEN=str(here / "seen"))
    assert done.code == 0, done.err
    assert done.err == ""
    seen = [json.loads(line) for line in (here / "seen").read_text().splitlines()]
    (sweep,) = (here / "outputs/multirun").glob("*/*")
    jobs = sorted(path for path in sweep.iterdir() if path.is_dir())
    assert len(jobs) == 2
    for seed, job in enumerate(jobs, 1):
        assert sorted(each["rank"] for each in seen if each["seed"] == seed) == [0, 1]
        assert {each["folder"] for each in seen if each["seed"] == seed} == {str(job)}
        assert yaml.safe_load((job / "config.yaml").read_text())["seed"] == seed
        assert (job / "model.safetensors").exists() and (job / "metrics.json").exists()
    assert {each["lr"] for each in seen} == {0.01}
    assert [path.name for path in (here / "outputs").iterdir() if not path.is_symlink()] == ["multirun"]


def test_two_processes_measure_what_one_does(train, train_apart, here):
    # 8 rows for one process and 9 for the other; the weights are those of the start
    words = ["data.test=17", "evaluation.num_samples=2000", "trainer.max_epochs=0"]
    done = train_apart(*words, *DDP, "hydra.run.dir=two")
    assert done.code == 0, done.err
    assert train(*words, epochs=0, folder="one").code == 0
    one, two = (json.loads((here / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert two["test/rate"] == pytest.approx(one["test/rate"], rel=1e-6)  # in closed form: nothing is drawn
    assert two["test/active_units"] == one["test/active_units"]
    assert two["test/nll"] == pytest.approx(one["test/nll"], rel=0.01)


def test_a_process_that_dies_takes_the_run_with_it(start, here):
    parent = start(*DDP, "data.batch_size=2", "trainer.max_epochs=1000", "hydra.run.dir=run")
    while not (here / "run/metrics.csv").exists():
        assert parent.poll() is None, parent.communicate()
        time.sleep(0.1)
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    parent.communicate(timeout=30)
    assert parent.returncode != 0


def test_processes_started_elsewhere_share_a_folder_by_its_exported_name(train_apart):
    def folder(**environment):
        words = ["--cfg=all", "--resolve", "--package=hydra.run.dir"]
        return train_apart(*words, **environment).out.strip().splitlines()[-1]

    assert folder(VAEKIT_STAMP="job-7") == folder(VAEKIT_STAMP="job-7") == "outputs/job-7"
    assert folder() != folder()
