"""Several processes are one run: one folder, one set of hyper-parameters, one set of figures."""

import csv
import inspect
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from lightning.fabric.strategies.launchers import subprocess_script as fabric
from lightning.pytorch.strategies.launchers import subprocess_script

from vaekit.overrides import spelled
from vaekit.training.processes import one_job

TWO = ["trainer.accelerator=cpu", "trainer.devices=2"]
DDP = ["trainer=ddp", *TWO]
FSDP = ["trainer=fsdp", *TWO, "trainer.strategy._target_=on_cpu.FSDPOnCPU"]
ON_CPU = """
# Lightning's and torch's FSDP without their demand for a GPU; what is gathered stays where it is.
import torch
import torch.distributed.fsdp.fully_sharded_data_parallel as fsdp
from lightning.pytorch.strategies import fsdp as strategy
from torch.distributed.fsdp import _init_utils as fsdp_init
from torch.distributed.fsdp._common_utils import _FSDPDeviceHandle

def to_cpu(state, *args):
    state._device_handle = _FSDPDeviceHandle.from_device(torch.device("cpu"))
    return state

def in_place(module, world_size, rank0_only=True):
    how = {"offload_to_cpu": False, "rank0_only": rank0_only}
    configs = fsdp.FullStateDictConfig(**how), fsdp.FullOptimStateDictConfig(**how)
    return fsdp.FullyShardedDataParallel.state_dict_type(module, fsdp.StateDictType.FULL_STATE_DICT, *configs)

fsdp._init_device_handle = to_cpu
fsdp_init._warn_cpu_init = lambda: None
strategy._get_full_state_dict_context = in_place
FSDPOnCPU = type("FSDPOnCPU", (strategy.FSDPStrategy,), {})
"""
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


def test_jobs_share_no_state(here, monkeypatch):
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

    assert OverridesParser.create().parse_override(f"key={spelled(path)}").value() == path


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_the_run_ends_if_one_of_its_processes_dies(start, here):
    parent = start(*DDP, "data.batch_size=2", "trainer.max_epochs=1000", "hydra.run.dir=run")
    while not (here / "run/metrics.csv").exists():
        assert parent.poll() is None, parent.communicate()
        time.sleep(0.1)
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    parent.communicate(timeout=30)
    assert parent.returncode != 0


@pytest.mark.long
def test_processes_started_elsewhere_share_a_folder_by_its_exported_name(train_apart):
    def folder(**environment):
        words = ["--cfg=all", "--resolve", "--package=hydra.run.dir"]
        return train_apart(*words, **environment).out.strip().splitlines()[-1]

    assert folder(VAEKIT_STAMP="job-7") == folder(VAEKIT_STAMP="job-7") == "outputs/job-7"
    assert folder() != folder()


@pytest.mark.long
def test_processes_that_srun_starts_one_after_the_other_share_a_folder(start, here):
    one_step = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    machine = {"SLURM_JOB_NAME": "train", "SLURM_NODELIST": "localhost", "SLURM_NODEID": "0"}
    machine |= {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    tasks = []
    for rank in "01":
        mine = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        tasks.append(start(*DDP, "trainer.max_epochs=1", **one_step, **machine, **mine))
        time.sleep(1.5)
    printed = [task.communicate(timeout=120) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], printed
    assert sorted(path.name for path in (here / "outputs").iterdir()) == ["latest", "slurm"]
    (run,) = (here / "outputs/slurm").iterdir()
    assert run.name == "7-0" and (run / "metrics.json").exists()


@pytest.mark.long
def test_processes_that_torchrun_starts_share_every_folder_of_a_sweep(train_apart, here):
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = train_apart("--multirun", *DDP, "seed=1,2", "trainer.max_epochs=1", by=torchrun)
    assert done.code == 0, done.err
    (sweep,) = (here / "outputs/multirun").glob("*/*")
    with (sweep / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "done"] and done.out.count("summary.csv") == 1
    assert sorted(path.name for path in sweep.iterdir() if path.is_dir()) == [row["job"] for row in rows]


def curve(folder, name):
    with Path(folder, "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "model", "tolerance"),
    [
        (DDP, "ae", 1e-5),  # nothing is drawn: the same numbers
        (FSDP, "ae", 1e-5),
        (DDP, "mlp_vae", 0.05),  # each process has draws of its own
    ],
    ids=["ddp", "fsdp", "ddp-noise"],
)
def test_two_processes_learn_as_one_does_with_twice_the_batch(train, train_apart, here, words, model, tolerance):
    (here / "on_cpu.py").write_text(ON_CPU)
    long = [f"model={model}", "trainer.max_epochs=3", "trainer.log_every_n_steps=1", "optimizer.lr=0.01"]
    clip = ["trainer.gradient_clip_val=20"]  # about the norm of the gradients here
    done = train_apart(*words, *long, *clip, "data.batch_size=64", "hydra.run.dir=two", PYTHONPATH=str(here))
    assert done.code == 0 and done.err == "", done.err
    assert train(*long, *clip, "data.batch_size=128", folder="one", epochs=3, figures=True).code == 0
    for name in ("train/loss", "val/loss", "test/loss"):
        assert curve("two", name) == pytest.approx(curve("one", name), rel=tolerance)
    assert len(curve("two", "train/loss")) == 33
    one, two = (torch.load(here / run / "checkpoints/last.ckpt", weights_only=True) for run in ("one", "two"))
    shapes = [{name: weight.shape for name, weight in each["state_dict"].items()} for each in (one, two)]
    assert shapes[0] == shapes[1]
    files = [{path.relative_to(here / run) for path in (here / run).rglob("*")} for run in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_run_on_several_processes_is_resumed(train_apart, here):
    (here / "on_cpu.py").write_text(ON_CPU)
    words = [*FSDP, "model=vamp_vae", "network=mlp", "prior.components=7"]
    for epochs, ckpt_path in ((1, "null"), (2, "last")):
        done = train_apart(*words, f"trainer.max_epochs={epochs}", f"ckpt_path={ckpt_path}", PYTHONPATH=str(here))
        assert done.code == 0, done.err
    assert train_apart(*words, "trainer.max_epochs=2", "hydra.run.dir=whole", PYTHONPATH=str(here)).code == 0
    assert json.loads((here / "outputs/latest/metrics.json").read_text()) == json.loads(
        (here / "whole/metrics.json").read_text()
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "trainer.accelerator=cuda: torch finds none"),
        (["trainer.accelerator=cpu"], "requires a GPU"),
        (["trainer.accelerator=cpu", "penalty=mmd"], r"use trainer=ddp, or penalty=\[\]"),
        (["trainer.accelerator=cpu", "callbacks=ema"], "callbacks=default"),
        (["trainer.accelerator=cpu", "likelihood=gaussian", "data.dequantize=true"], "log_scale, a single number"),
    ],
)
def test_runs_that_fsdp_does_not_support_are_refused(train, monkeypatch, words, sentence):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = train("trainer=fsdp", *words)
    assert done.code == 1 and re.search(sentence, done.err) and "Traceback" not in done.err
