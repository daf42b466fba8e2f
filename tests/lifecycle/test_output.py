"""What a run prints, where it writes."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from tqdm import tqdm

from vaekit.callbacks.progress import Progress


@pytest.mark.long
def test_a_run_prints_its_parts_its_progress_and_its_figures_and_nothing_else(train_apart):
    done = train_apart("trainer.max_epochs=30")
    assert done.code == 0
    assert done.err == ""
    parts, _, rest = done.out.partition("└")
    progress, _, figures = rest.partition("Test")
    assert parts.startswith("vaekit") and "discretized_logistic" in parts
    machine, *lines = progress.splitlines()[1:]
    assert machine.startswith("trainer: cpu, OMP_NUM_THREADS=") and machine.endswith(", 32-true")
    assert 2 <= len(lines) <= 6 and all(line.startswith("epoch ") for line in lines), "a line every five seconds"
    assert lines[-1].startswith("epoch 29: loss=") and "examples/s" in lines[-1] and "val=" in lines[-1]
    assert "test/nll" in figures and "metrics.json" in figures.splitlines()[-1]
    assert "\r" not in done.out


def test_the_folder_of_a_run(train):
    assert train(figures=True).code == 0
    run = Path("outputs/day/run0")
    assert sorted(path.name for path in run.iterdir()) == [
        ".hydra", "checkpoints", "config.yaml", "figures", "metrics.csv", "metrics.json", "model.safetensors"
    ]  # fmt: skip
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert os.readlink("outputs/latest") == "day/run0"
    assert train().code == 0
    assert os.readlink("outputs/latest") == "day/run1"
    assert train("latents.dim=0").code == 1
    assert os.readlink("outputs/latest") == "day/run1"


@pytest.mark.long
def test_one_test_row_has_no_interpolations(train):
    done = train("data.test=1", folder="run", figures=True)
    assert done.code == 0, done.err
    assert sorted(path.name for path in Path("run/figures").iterdir()) == [
        "latent_map.png", "learning_curves.png", "reconstructions.png", "samples.png"
    ]  # fmt: skip


@pytest.mark.long
def test_a_run_that_is_interrupted_says_how_to_go_on(start, here):
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    process = start("trainer.max_epochs=100000", "hydra.run.dir=run")
    signal.signal(signal.SIGINT, ours)
    last = here / "run" / "checkpoints" / "last.ckpt"
    while not last.is_file() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in err
    assert out.splitlines()[-1] == f"Interrupted; to resume, repeat it with ckpt_path={last}."


@pytest.mark.long
def test_a_profiler_prints_its_report(train):
    done = train("+trainer.profiler=simple", folder="run")
    assert done.code == 0, done.err
    assert "FIT Profiler Report" in done.out and "optimizer_step" in done.out


@pytest.mark.parametrize("loss", [3.21, -123.45])
def test_the_bar_of_80_columns_shows_its_figures_whole(loss):
    bar = Progress().init_train_tqdm()
    figures = {"loss": f"{loss:.2f} nats", "speed": "12,345 examples/s", "val": f"{loss:.2f}"}
    shown = tqdm.format_meter(
        n=1719,
        total=1719,
        elapsed=30,
        ncols=80,
        prefix="Epoch 12",
        bar_format=bar.bar_format,
        postfix=", ".join(f"{name}={value}" for name, value in figures.items()),
    )
    bar.close()
    assert all(f"{name}={value}" in shown for name, value in figures.items()), shown


def test_a_dry_run_prints_the_plan_and_leaves_nothing(train, here):
    done = train("--dry-run", "prior=mixture", "penalty=[mmd]")
    assert done.code == 0, done.err
    assert "vaekit.priors.mixture.Mixture" in done.out and "penalty.mmd" in done.out
    assert re.search(r"A step of 128 rows takes [\d.e-]+ s .* holds [\d,]+ MiB", done.out.replace("\n", " "))
    assert not any(here.rglob("*"))


def test_a_dry_run_refuses_the_same_settings_as_a_run(train):
    done = train("--dry-run", "objective=dreg", "penalty=[mmd]")
    assert done.code == 1
    assert done.err.startswith("objective=iwae needs no_penalty; use penalty=[].")


def test_the_learning_rate_test_draws_and_leaves_no_run(train):
    done = train("--find-lr", "network=mlp", "network.hidden=[16]", "optimizer.lr=0.5")
    assert done.code == 0, done.err
    run = Path("outputs/day/run0")
    found = re.search(r"learning_rate.png: try optimizer.lr=(\S+)", done.out.replace("\n", " "))
    assert found and 1e-5 < float(found[1]) < 0.2  # the test starts below, at 1e-6, whatever optimizer.lr is
    assert (run / "figures" / "learning_rate.png").stat().st_size > 1000
    assert not list(run.rglob("*.ckpt")) and not (run / "model.safetensors").exists()


@pytest.mark.parametrize(("kind", "left"), [("fast", False), ("overfit", True), ("profile", True)])
def test_short_runs_to_look_for_faults(train, kind, left):
    done = train(f"debug={kind}", "network=mlp", "network.hidden=[16]")
    assert done.code == 0, done.err
    assert Path("outputs/day/run0/metrics.json").exists() == left
    if kind == "profile":
        assert "run_training_epoch" in done.out
