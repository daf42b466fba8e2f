"""The command line: the files of each task, and refusals."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.configs import options

from .conftest import ROOT

pytestmark = pytest.mark.long  # of every task

# all, but those that need another run, other data, a folder or an account: they have their own tests
OTHERS = {"compare", "disentangle", "fit_prior", "coherence", "play", "push_to_hub", "stress"}
TASKS = sorted(options("task").keys() - OTHERS)


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def applied(digits_run, tmp_path_factory):
    """A copy of the digits run, after every task by the real command line, one process for all."""
    folder = tmp_path_factory.mktemp("applied")
    run = shutil.copytree(digits_run, folder / "run", symlinks=True, ignore=shutil.ignore_patterns("tasks"))
    before = files(run)
    command = [sys.executable, "-W", "error", str(ROOT / "apply.py"), "-m", "device=cpu", f"run={run}"]
    command += [f"task={','.join(TASKS)}", f"hydra.sweep.dir={folder}/sweep", "hydra.sweep.subdir=."]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return run, before, done.stdout


@pytest.mark.long
def test_nothing_but_the_tasks_own_folders_changes(applied):
    run, before, _ = applied
    after = files(run)
    assert before.items() <= after.items()
    assert {path.relative_to(run).parts[:2] for path in after.keys() - before} == {("tasks", task) for task in TASKS}
    assert {path.name for path in (run / "tasks").iterdir()} == set(TASKS)
    assert {path.name for path in run.parent.iterdir()} == {"run", "sweep"}


def test_every_file_is_named_on_the_screen(applied):
    run, _, printed = applied
    for path in (run / "tasks").rglob("*.*"):
        assert str(path.relative_to(run.parent)) in printed


def test_evaluate_repeats_the_test_after_training(applied):
    run, _, printed = applied
    after_training = json.loads((run / "metrics.json").read_text())
    now = json.loads((run / "tasks/evaluate/metrics.json").read_text())
    assert now == pytest.approx({name: value for name, value in after_training.items() if "test/" in name}, rel=1e-6)
    assert "test/nll" in printed


def test_score_lists_every_test_row_under_its_own_number(applied):
    run, _, printed = applied
    with (run / "tasks/score/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(0).permutation(1797)
    assert [int(row["row"]) for row in rows] == sorted(order[:359])
    for row in rows:
        assert float(row["bits_per_dim"]) == pytest.approx(-float(row["log_px"]) / 64 / np.log(2), rel=1e-4)
    mean = np.mean([float(row["log_px"]) for row in rows])
    assert f"{mean:.2f} nats on average over 359 examples" in printed
    nll = json.loads((run / "metrics.json").read_text())["test/nll"]
    assert -mean < nll + 0.01  # 100 samples here, 7 there: a tighter bound


@pytest.mark.parametrize(
    ("task", "name", "shapes"),
    [
        ("sample", "samples", {"x": (64, 1, 8, 8)}),
        (
            "reconstruct",
            "reconstructions",
            {"x": (32, 1, 8, 8), "reconstruction": (32, 1, 8, 8), "example": (32,)},
        ),
        ("interpolate", "interpolations", {"a": (8, 1, 8, 8), "b": (8, 1, 8, 8), "x": (8, 10, 1, 8, 8)}),
        ("vary", "variants", {"original": (1, 1, 8, 8), "x": (15, 1, 8, 8)}),
    ],
)
def test_pictures_open_and_arrays_have_their_shapes(applied, task, name, shapes):
    folder = applied[0] / "tasks" / task
    arrays = np.load(folder / f"{name}.npz")
    assert {key: arrays[key].shape for key in arrays.files} == shapes
    assert all(0 <= arrays[key].min() <= arrays[key].max() <= 1 for key in arrays.files if key != "example")
    with PIL.Image.open(folder / f"{name}.png") as picture:
        assert min(picture.size) > 56
        assert np.asarray(picture).std() > 0


def test_a_later_call_replaces_the_files_of_an_earlier_one(applied, apply):
    run, *_ = applied
    path = run / "tasks/sample/samples.npz"
    first = np.load(path)["x"]
    apply(f"run={run}", "task=sample", "device=cpu")
    assert np.array_equal(np.load(path)["x"], first)  # the same seed
    apply(f"run={run}", "task=sample", "task.n=3", "seed=2", "device=cpu")
    second = np.load(path)["x"]
    assert len(second) == 3
    assert not np.array_equal(second, first[:3])


def test_a_call_that_is_refused_leaves_the_files_of_an_earlier_one(applied, apply, tmp_path):
    run, *_ = applied
    before = files(run)
    np.save(tmp_path / "rows.npy", np.array([[[[0.5] * 8] * 8]] * 300 + [[[[np.nan] * 8] * 8]]))
    code, printed = apply(f"run={run}", "task=score", f"task.input={tmp_path}/rows.npy", "device=cpu")
    assert code == 1
    assert "NaN" in printed
    assert files(run) == before


def test_networks_in_bf16_score_nearly_the_same(applied, apply):
    run, *_ = applied
    scores = {}
    for precision in ("32-true", "bf16-mixed"):
        code, printed = apply(f"run={run}", "task=score", f"precision={precision}", "device=cpu")
        assert code == 0, printed
        rows = (run / "tasks/score/scores.csv").read_text().splitlines()[1:]
        scores[precision] = np.array([float(row.split(",")[1]) for row in rows])
    distance = abs(scores["bf16-mixed"] - scores["32-true"])
    assert 0 < distance.mean() < 0.02 * abs(scores["32-true"]).mean()


def test_settings_of_the_data_can_be_changed(vectors_run, apply, tmp_path):
    np.save(tmp_path / "moved.npy", np.zeros((50, 5), "float32"))
    run = shutil.copytree(vectors_run, tmp_path / "run")
    code, printed = apply(f"run={run}", "task=score", f"data.path={tmp_path}/moved.npy", "data.test=0.5", "device=cpu")
    assert code == 0, printed
    assert len((run / "tasks/score/scores.csv").read_text().splitlines()) == 1 + 25


@pytest.mark.parametrize("word", ["data.validation=0.5", "data.test=0.9", "data.seed=9"])
def test_rows_that_the_run_has_seen_stay_apart_from_those_it_has_not(applied, apply, word):
    run, *_ = applied
    code, printed = apply(f"run={run}", "task=score", word, "device=cpu")
    assert code == 1 and "training rows of the run" in refused(printed)


def refused(printed):
    assert not re.search("Traceback|Error executing|Set the environment", printed)
    return printed


@pytest.mark.long
def test_a_refusal_ends_the_process_with_code_1(tmp_path):
    command = [sys.executable, str(ROOT / "apply.py"), f"run={tmp_path}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "python train.py" in refused(done.stderr)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["device=tpu"], "use device=auto"),
        (["batch_size=0"], "use batch_size=1"),
        (["precision=16"], "use precision=32-true"),
        (["seed=-1"], "use seed=0"),
        (["seed=one"], "use seed=0"),
        (["data.color=3"], "use one of batch_size, binarize"),
        (["data.binarize=threshold"], "leave out data.binarize"),
        (["sampling.steps=3"], "Leave out sampling"),
        (["data.batch_size=0"], "data.batch_size=128"),
        (["task.num_samples=0"], "use task.num_samples=1"),
        (["task=sample", "task.n=0"], "use task.n=1"),
        (["task=sample", "task.n=many"], "use task.n=1"),
        (["task=sample", "task.temperature=0"], "use task.temperature=1"),
        (["task=sample", "task.temperature=abc"], "Got task.temperature=abc, expected a number"),
        (["task=sample", "task.temperature=hot"], "use task.temperature=1"),
        (["task=sample", "task.draw=no"], "use task.draw=true"),
        (["task=reconstruct", "task.n=0"], "use task.n=1"),
        (["task=reconstruct", "task.n=360"], "use task.n=359"),
        (["task=interpolate", "task.n=180"], "use task.n=179"),
        (["task=interpolate", "task.steps=1"], "use task.steps=2"),
        (["task=interpolate", "task.a=one.png"], "use task.a=FILE task.b=FILE"),
        (["task=vary", "task.index=-1"], "use task.index=0"),
        (["task=vary", "task.index=359"], "use task.index=358"),
        (["task=vary", "task.n=0"], "use task.n=1"),
        (["task=vary", "task.temperature=-1"], "use task.temperature=1"),
        (["task=vary", "task.input=nowhere.png"], "name an existing one"),
        (["task=sample", "task.quality=maybe"], "use task.quality=true"),
        (["task=evaluate", "task.rows=1"], "use task.rows=2"),
        (["task=traverse", "task.n=0"], "use task.n=1"),
        (["task=traverse", "task.steps=1"], "use task.steps=2"),
        (["task=traverse", "task.deviations=0"], "use task.deviations=1"),
        (["task=traverse", "task.level=1"], "use task.level=0"),
        (["task=traverse", "task.index=359"], "use task.index=358"),
        (["task=embed", "task.split=all"], "use task.split=train"),
        (["task=embed", "task.format=xlsx"], "use task.format=npz"),
        (["task=embed", "task.projection=tsne"], "use task.projection=pca"),
        (["task=embed", "task.rows=1"], "use task.rows=10"),
        (["task=synthesize", "task.n=0"], "use task.n=1"),
        (["task=synthesize", "task.source=nowhere"], "use task.source=prior"),
        (["task=synthesize", "task.components=0"], "use task.components=1"),
        (["task=synthesize", "task.draw=maybe"], "use task.draw=true"),
        (["task=synthesize", "task.format=tar"], "use task.format=arrays"),
        (["task=compare"], "task.others=[outputs/...]"),
        (["task=compare", "task.others=[nowhere]"], "give run=outputs/"),
        (["task=score", "task.split=all"], "use task.split=test"),
        (["task=score", "+task.label=3"], "not read by any part. There is task.split, task.input, task.num_samples"),
        (["task=score", "task.num_samples=0"], "use task.num_samples=1"),
    ],
)
def test_refusals_say_what_to_type(apply, digits_run, words, says):
    code, printed = apply(f"run={digits_run}", "device=cpu", *words)
    assert code == 1
    assert says in refused(printed)


def test_a_folder_that_cannot_be_written_is_refused(apply, digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run", ignore=shutil.ignore_patterns("tasks"))
    (run / "tasks").write_text("a file")
    code, printed = apply(f"run={run}", "task=sample", "device=cpu")
    assert code == 1
    assert "give run=COPY" in refused(printed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_refused(apply, digits_run):
    code, printed = apply(f"run={digits_run}", "device=cuda")
    assert code == 1
    assert "use device=auto or device=cpu." in refused(printed)


def test_a_run_that_names_other_code_is_refused(apply, digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("vaekit.data.digits.Digits", "os.getcwd"))
    code, printed = apply(f"run={run}", "task=sample", "device=cpu")
    assert code == 1
    assert "trust=[" in refused(printed)
