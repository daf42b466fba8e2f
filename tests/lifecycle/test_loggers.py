"""Each logger gets the configuration, the figures and the pictures."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers import GRAY, LEVELS, PAIRS, SERIES, SOUND, TABLE, TEXT, VECTORS, build, examples
from vaekit import commands
from vaekit.callbacks.pictures import Pictures
from vaekit.media.album import draw_examples
from vaekit.training.csv_logger import CSVLogger

WANDB = Path(sys.executable).with_name("wandb")


def rows(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def history(run):
    """The contents of an offline run of W&B, read by its own reader."""
    done = subprocess.run(
        [WANDB, "leet", "inspect", "--json", next(Path(run).glob("*.wandb"))], capture_output=True, text=True
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_csv_has_a_row_for_each_logged_step(train):
    assert train(folder="run", epochs=2).code == 0
    logged = rows("run/metrics.csv")
    assert [row["step"] for row in logged if row["train/loss"]] == ["9", "19"]
    assert [row["step"] for row in logged if row["val/loss"]] == ["10", "21"]
    assert [row["step"] for row in logged if row["test/nll"]] == ["22"]


def test_csv_rows_survive_a_resumption_without_duplicates(here):
    killed = CSVLogger(".")
    for step in range(0, 50, 10):
        killed.log_metrics({"train/loss": step, "epoch": 0}, step)
    killed.log_metrics({"test/loss": 1.0}, 50)
    resumed = CSVLogger(".")
    for step in range(30, 60, 10):
        resumed.log_metrics({"train/loss": -step}, step)
    resumed.log_metrics({"val/loss": 7}, 59)
    assert [(row["step"], row["train/loss"]) for row in rows("metrics.csv")] == [
        *[(str(step), str(step)) for step in (0, 10, 20)],
        *[(str(step), str(-step)) for step in (30, 40, 50)],
        ("59", ""),
    ]
    assert "test/loss" not in rows("metrics.csv")[0]


@pytest.mark.long
def test_all_loggers_at_once(train, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    done = train("logger=[csv,wandb,tensorboard]", "tags=[first]", folder="run")
    assert done.code == 0, done.err

    events = EventAccumulator("run/tensorboard").Reload()
    assert {"train/loss", "val/loss", "test/nll"} <= set(events.Tags()["scalars"])
    assert {"samples", "reconstructions"} <= set(events.Tags()["images"])
    assert rows("run/metrics.csv")[-1]["test/nll"]

    (run,) = Path("run/wandb").glob("offline-run-*")
    logged = str(history(run))
    assert all(f"'{name}'" in logged for name in ("train/loss", "val/loss", "test/nll", "latents"))
    pictures = sorted(path.name.partition("_")[0] for path in (run / "files/media/images").iterdir())
    assert pictures == ["reconstructions", "samples"]
    for path in (run / "files/media/images").iterdir():
        values = np.unique(np.array(PIL.Image.open(path)))
        assert values.max() == 255 and len(values) > 20, "nearly black: floats taken for values up to 255"


CLASSES = {"apple": 0, "pear": 1}
LOGISTIC = "likelihood=discretized_logistic"
KINDS = {
    "labelled images": (GRAY, "model=mlp_vae", "condition=label", "condition.classes=2", LOGISTIC),
    "gray images": (GRAY, "model=mlp_vae", "likelihood=discretized_logistic"),
    "vectors": (VECTORS, "network=mlp", "likelihood=gaussian"),
    "series": (SERIES, "model=series_vae", "likelihood=multivariate_student"),
    "sound": (SOUND, "model=wave_vae"),
    "levels of games": (LEVELS, "network=mlp", "likelihood=tiles"),
    "images with labels": (PAIRS, "model=mopoe", "likelihood=paired"),
    "text": (TEXT, "model=text_vae", "likelihood=tokens"),
    "tables": (TABLE, "model=table_vae", "likelihood=table"),
}


@pytest.fixture
def shown(here, monkeypatch):
    """What each logger holds after `Pictures` has logged a VAE's examples: pixels or lines of text by name."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")

    def log(vae, rows):
        loggers = [WandbLogger(save_dir="."), TensorBoardLogger(".", name="board", version="")]
        module = SimpleNamespace(sample=lambda part, n: rows, source=SimpleNamespace(classes=lambda: CLASSES))
        trainer = SimpleNamespace(datamodule=module, loggers=loggers, global_step=3, current_epoch=2, model=vae)
        torch.manual_seed(5)
        Pictures()._log(trainer, SimpleNamespace(vae=vae, device="cpu"))
        loggers[0].experiment.finish()
        loggers[1].experiment.close()
        media = next(Path("wandb").glob("offline-run-*/files/media"))
        pictures = {path.name.partition("_")[0]: np.array(PIL.Image.open(path)) for path in media.glob("images/*")}
        tables = {path.name.partition("_")[0]: json.loads(path.read_text())["data"] for path in media.glob("table/*")}
        cells = {name: [str(cell) for row in rows for cell in row] for name, rows in tables.items()}
        return pictures | cells, board("board")

    return log


def board(folder):
    """The pictures in a TensorBoard folder, and the cells of its texts, by name."""
    events = EventAccumulator(folder).Reload()
    pictures = {
        name: np.array(PIL.Image.open(io.BytesIO(events.Images(name)[0].encoded_image_string)))
        for name in events.Tags()["images"]
    }
    texts = {}
    for name in events.Tags()["tensors"]:
        lines = events.Tensors(name)[0].tensor_proto.string_val[0].decode().splitlines()[2:]
        texts[name.removesuffix("/text_summary")] = [cell for line in lines for cell in line[2:-2].split(" | ")]
    return pictures | texts


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_loggers_show_what_the_figures_show(kind, shown, tmp_path):
    space, *overrides = KINDS[kind]
    vae, rows = build(space, *overrides)[0], examples(space, 6)
    rows.label = torch.arange(6) % len(CLASSES)
    torch.manual_seed(5)
    (expected := tmp_path / "figures").mkdir()
    draw_examples(expected, vae, rows, CLASSES, "validation examples", "weights of epoch 2")
    in_wandb, in_tensorboard = shown(vae, rows)
    assert in_wandb.keys() == in_tensorboard.keys() == {"samples", "reconstructions"}
    for name in in_wandb:
        if (path := expected / f"{name}.png").exists():
            pixels = np.array(PIL.Image.open(path).convert("RGB"))
            assert len(np.unique(pixels)) > 1
            for found in in_wandb[name], in_tensorboard[name]:
                np.testing.assert_array_equal(found, pixels)
        else:
            (path,) = expected.glob(f"{name}.*")
            lines = path.read_text().splitlines()
            cells = [cell for line in lines[1:] for cell in line.split(",")] if path.suffix == ".csv" else lines
            assert in_wandb[name] == in_tensorboard[name] == cells and any(cells)


@pytest.mark.long
def test_a_resumed_run_goes_on_in_its_own_wandb_run(train, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert train("logger=wandb", folder="run").code == 0
    assert train("logger=wandb", "ckpt_path=run/checkpoints/last.ckpt", epochs=2).code == 0
    assert train("logger=wandb", folder="other").code == 0
    names = {folder: [path.name for path in Path(folder).glob("wandb/offline-run-*/*.wandb")]
             for folder in ("run", "other")}  # fmt: skip
    first, second = names["run"]
    assert first == second != names["other"][0]


@pytest.mark.long
def test_wandb_without_an_account_is_refused_and_does_not_ask(train_apart, here):
    done = train_apart("logger=wandb", HOME=str(here))
    assert done.code == 1
    assert "WANDB_MODE=offline" in done.err and "wandb login" in done.err and "Traceback" not in done.err
    assert not list(here.glob("**/wandb"))


def test_a_run_without_loggers_and_callbacks_is_finished_and_applied(train, here, monkeypatch):
    assert train("logger=[]", "callbacks=[]", folder="run").code == 0
    assert not Path("run/metrics.csv").exists()
    monkeypatch.setattr(sys, "argv", ["apply.py", "run=run", "task=describe", "device=cpu"])
    commands.apply()
    assert Path("run/tasks/describe/describe.json").is_file()


def test_one_logger_or_callback_is_left_out_by_null(train, here):
    done = train("logger=tensorboard", "logger.csv=null", "callbacks.best=null", folder="run")
    assert done.code == 0 and done.err == ""
    assert not Path("run/metrics.csv").exists() and not Path("run/checkpoints/best.ckpt").exists()
    assert Path("run/model.safetensors").is_file() and Path("run/tensorboard").is_dir()
