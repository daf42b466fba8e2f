"""Sweeps by optional engines of Hydra, and sweeps that are started again."""

import csv
import json
import os
import shlex
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vaekit import commands, sweep_jobs
from vaekit.configs import CONF, options
from vaekit.sweep_summary import show
from vaekit.training.module import Training

pytestmark = pytest.mark.long  # each starts several runs

SWEEP = ["--multirun", "hydra.sweep.dir=sweep"]


def summary():
    with Path("sweep/summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def job(overrides):
    """The folder of the one job that was given these overrides."""
    (name,) = {row["job"] for row in summary() if set(overrides.split()) <= set(row["overrides"].split())}
    return Path("sweep", name)


def metrics(folder):
    return json.loads((Path(folder) / "metrics.json").read_text())


@pytest.fixture
def trained(monkeypatch):
    """The folders that were trained in, one after the other."""
    folders, run = [], sweep_jobs.run

    def watched(config):
        folders.append(Path(config["run_dir"]).name)
        return run(config)

    monkeypatch.setattr(sweep_jobs, "run", watched)
    return folders


# Started again ---------------------------------------------------------------------------------------------------


def test_an_extended_sweep_only_trains_new_jobs(train, trained):
    assert train(*SWEEP, "latents.dim=2,3", "seed=1").code == 0
    assert len(trained) == 2
    before = {path: path.read_bytes() for path in Path("sweep").glob("*/m*.*") if path.suffix != ".csv"}
    done = train(*SWEEP, "seed=1,2", "latents.dim=3,2")  # other numbers, another order
    assert done.code == 0, done.err
    assert len(trained) == 4 and all("seed-2" in name for name in trained[2:])
    assert done.out.count("is finished already") == 2
    assert {path: path.read_bytes() for path in before} == before
    rows = summary()
    assert [row["status"] for row in rows] == ["done"] * 4
    assert len({(*sorted(row["overrides"].split()),) for row in rows}) == 4
    for row in rows:
        assert float(row["test/nll"]) == pytest.approx(metrics(Path("sweep", row["job"]))["test/nll"], rel=1e-5)


def test_an_interrupted_job_resumes(train, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    step, steps = Training.training_step, []

    def until_it_breaks(self, batch, batch_idx):
        steps.append(self.global_step)
        if len(steps) == 15:  # in its second epoch
            raise OSError("the disk is full")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", until_it_breaks)
    broken = train(*SWEEP, "seed=1", "logger=wandb", epochs=3)
    assert broken.code == 1 and summary()[0]["status"] == "failed" and "disk is full" in summary()[0]["error"]
    assert not summary()[0]["test/nll"]
    again = train(*SWEEP, "seed=1", "logger=wandb", epochs=3)
    assert again.code == 0, again.err
    assert "continues from its last checkpoint" in again.out
    assert steps == [*range(15), *range(11, 33)]
    assert train("seed=1", folder="whole", epochs=3).code == 0
    assert metrics(job("seed=1")) == metrics("whole")
    assert train(*SWEEP, "seed=1", "logger=wandb", epochs=3).out.count("is finished already") == 1


def test_a_finished_run_of_another_configuration_is_refused(train, trained, here):
    mine = here / "my/experiment/mine.yaml"
    mine.parent.mkdir(parents=True)
    again = ["--config-dir=my", *SWEEP, "experiment=mine"]

    def configure(lr):
        mine.write_text(f"# @package _global_\noptimizer:\n  lr: {lr}\n")

    configure(1e-3)
    assert train(*again).code == 0
    before = {path: path.read_bytes() for path in job("experiment=mine").rglob("*.*") if ".hydra" not in path.parts}
    configure(1e-2)
    done = train(*again)
    assert done.code == 1 and "Traceback" not in done.err
    assert "another configuration (of optimizer)" in done.err and "hydra.sweep.dir=FOLDER" in done.err
    assert len(trained) == 1 and {path: path.read_bytes() for path in before} == before
    assert summary()[0]["status"] == "failed"
    configure(1e-3)
    done = train(*again)
    assert done.code == 0 and "is finished already" in done.out and summary()[0]["status"] == "done"


def test_an_unfinished_job_of_another_configuration_is_trained_from_the_start(train, trained, here):
    assert train(*SWEEP, "seed=1", epochs=2).code == 0
    folder = job("seed=1")
    (folder / "metrics.json").unlink()  # killed during its test
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"tags": ["as it was before"]}))
    done = train(*SWEEP, "seed=1", epochs=2)
    assert done.code == 0 and "continues" not in done.out
    assert len(trained) == 2
    with (folder / "metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == sorted(set(steps))


def test_an_unfinished_job_with_a_truncated_configuration_is_trained_from_the_start(train, trained):
    assert train(*SWEEP, "seed=1").code == 0
    config = job("seed=1") / "config.yaml"
    whole = config.read_text()
    for kept in (0, whole.index("{") + 1, whole.index("\nspace:")):
        (config.parent / "metrics.json").unlink()
        config.write_text(whole[:kept])
        done = train(*SWEEP, "seed=1")
        assert done.code == 0 and "continues" not in done.out, done.err
        assert config.read_text() == whole
    assert len(trained) == 4


def test_a_moved_sweep_is_continued(train, trained):
    assert train(*SWEEP, "seed=1").code == 0
    Path("sweep").rename("moved")
    done = train("--multirun", "hydra.sweep.dir=moved", "seed=1")
    assert done.code == 0 and len(trained) == 1, done.err


def test_jobs_whose_names_are_cut_are_distinguished(train, trained):
    for tag in "ab":
        assert train(*SWEEP, f"tags=[{'x' * 150}{tag}]").code == 0
    done = train(*SWEEP, f"tags=[{'x' * 150}b],[{'x' * 150}a]")
    assert done.code == 0 and done.out.count("is finished already") == 2
    assert len(trained) == 2


# Engines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", options("sweep"))
def test_a_search_is_over_keys_that_exist(name):
    if name != "grid":
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [f"sweep={name}"], return_hydra_config=True)
    params = config.hydra.sweeper.params
    assert params and all(OmegaConf.select(config, key, throw_on_missing=True) is not None for key in params)


def test_a_grid_is_replaced_joined_and_fixed_by_the_command_line(train):
    words = ["sweep=grid", "latents.dim=2,3", "optimizer.lr=0.01", "seed=1,2"]
    done = train(*SWEEP, *words)
    assert done.code == 0, done.err
    combinations = [{"optimizer.lr=0.01", f"latents.dim={dim}", f"seed={seed}"} for dim in (2, 3) for seed in (1, 2)]
    assert len(summary()) == 4
    assert all(any(each <= set(row["overrides"].split()) for row in summary()) for each in combinations)
    assert not any("sweep" in row["overrides"] for row in summary())


SMALL = ["latents.dim=choice(2,3)", "optimizer.warmup=0"]


@pytest.mark.filterwarnings("ignore")  # warnings of optuna 2
@pytest.mark.parametrize("engine", ["random", "optuna"])
def test_a_search_returns_the_best_and_goes_on_where_it_was(train, trained, engine):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = [*SWEEP, f"sweep={engine}", *SMALL]
    done = train(*words, "hydra.sweeper.n_trials=2")
    assert done.code == 0, done.err
    assert len(trained) == 2
    done = train(*words, "hydra.sweeper.n_trials=3")
    assert done.code == 0, done.err
    assert len(trained) == 3 and done.out.count("is finished already") == 2
    best = yaml.safe_load(Path("sweep/optimization_results.yaml").read_text())
    losses = {row["overrides"]: metrics(Path("sweep", row["job"]))["val/loss"] for row in summary()}
    assert len(losses) == 3 and best["best_value"] == min(losses.values())
    assert f"optimizer.lr={best['best_params']['optimizer.lr']}" in min(losses, key=losses.__getitem__)
    rates = [float(words["optimizer.lr"]) for words in (dict(w.split("=", 1) for w in each.split()) for each in losses)]
    assert len(set(rates)) == 3 and all(1e-4 <= rate <= 1e-2 for rate in rates)


@pytest.mark.filterwarnings("ignore")
def test_a_search_lists_the_trials_that_fail_and_goes_on(train):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    done = train(*SWEEP, "sweep=random", *SMALL, "objective.num_samples=choice(0,1)", "hydra.sweeper.n_trials=4")
    assert done.code == 0, done.err
    statuses = {(row["status"], "objective.num_samples=0" in row["overrides"]) for row in summary()}
    assert len(summary()) == 4 and statuses == {("done", False), ("failed", True)}
    assert all(("use objective.num_samples=" in row["error"]) == (row["status"] == "failed") for row in summary())


@pytest.mark.parametrize("word", commands.ENGINES)
def test_an_engine_that_is_not_installed_names_what_installs_it(train, here, monkeypatch, word):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(commands, "version", missing)
    done = train(*SWEEP, word)
    assert done.code == 1
    assert word in done.err and "type: pip install '.[" in done.err and "Traceback" not in done.err
    assert not list(here.iterdir())


# Launchers -------------------------------------------------------------------------------------------------------

SBATCH = """#!/bin/sh
# a cluster of one machine: every task of the array at once
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
export SLURM_ARRAY_JOB_ID=7 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NAME=train
export SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=localhost SLURM_NODELIST=localhost SLURM_STEP_NUM_TASKS=1
for task in $(seq 0 "$last"); do
  SLURM_JOB_ID=10$task SLURM_ARRAY_TASK_ID=$task sh "$1" >/dev/null 2>&1 &
done
echo "Submitted batch job 7"
"""
SLURM = {
    "sbatch": SBATCH,
    "srun": '#!/bin/sh\nuntil [ -x "$1" ]; do shift; done\nexec "$@"\n',
    "sacct": '#!/bin/sh\necho "JobID|State"\n',
    "scancel": "#!/bin/sh\n",
}


@pytest.mark.parametrize(
    ("words", "plugin"),
    [
        ("hydra/launcher=joblib hydra.launcher.n_jobs=2", "hydra_joblib_launcher"),
        pytest.param("hydra/launcher=submitit_local", "hydra_submitit_launcher", marks=pytest.mark.slow),
        pytest.param("hydra/launcher=submitit_slurm", "hydra_submitit_launcher", marks=pytest.mark.slow),
    ],
)
def test_parallel_jobs_are_independent(train, train_apart, here, words, plugin):
    pytest.importorskip(f"hydra_plugins.{plugin}")
    (here / "bin").mkdir()
    for name, script in SLURM.items():
        (here / "bin" / name).write_text(script)
        (here / "bin" / name).chmod(0o755)
    paths = {"PATH": f"{here}/bin:{os.environ['PATH']}"}
    wandb = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    jobs = ["seed=1,2", "objective.num_samples=1,0", "trainer.max_epochs=1", "logger=wandb"]
    done = train_apart(*SWEEP, *jobs, *words.split(), **paths, **wandb)
    assert done.code == 1 and "use objective.num_samples=" in done.err and "Traceback" not in done.err
    assert done.out.rstrip().endswith("┘")
    assert [row["status"] for row in summary()] == ["done", "failed"] * 2
    for seed in (1, 2):
        folder = job(f"seed={seed} objective.num_samples=1")
        assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == seed
        assert len(list((folder / "wandb").glob("offline-run-*"))) == 1
        assert train(f"seed={seed}", folder=f"alone{seed}").code == 0
        assert metrics(folder)["test/nll"] == pytest.approx(metrics(f"alone{seed}")["test/nll"], rel=1e-4)


def test_a_job_that_is_killed_is_listed_as_unfinished(start, capsys):
    sweep = start(*SWEEP, "seed=1", "data.batch_size=2", "trainer.max_epochs=1000")
    while not list(Path("sweep").glob("*/metrics.csv")):
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.1)
    sweep.kill()
    sweep.wait()
    show(Path("sweep"))
    assert "unfinished" in capsys.readouterr().out
    assert summary()[0]["status"] == "unfinished"


# W&B's own sweep -------------------------------------------------------------------------------------------------


def test_the_sweep_of_wandb_is_made_of_overrides():
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    sweep = yaml.safe_load((CONF / "wandb_sweep.yaml").read_text())
    ends = [
        {name: {"value": values[end]} for name, each in sweep["parameters"].items()
         for values in [each.get("values") or [each["min"], each["max"]]]}
        for end in (0, -1)
    ]  # fmt: skip
    for args in ends:
        words = utils.create_sweep_command_args({"args": args})["args_no_hyphens"]
        filled = {"${env}": ["/usr/bin/env"], "${program}": [sweep["program"]], "${args_no_hyphens}": words}
        command = [word for each in sweep["command"] for word in filled.get(each, [each])]
        assert command[:4] == ["/usr/bin/env", "python", "train.py", "logger=wandb"], shlex.join(command)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", command[3:])
        assert all(OmegaConf.select(config, name) == each["value"] for name, each in args.items())
        assert config["optimized_metric"] == sweep["metric"]["name"] and "wandb" in config["logger"]
