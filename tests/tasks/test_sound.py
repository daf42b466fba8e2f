"""Spoken digits: samples of a class, and their recognition by a classifier of real clips."""

import json
import os

import numpy as np
import pytest
import torch

from vaekit.spaces import Audio
from vaekit.tasks.sample import sample
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.synthesize import synthesize

from .conftest import train
from .test_uses import use

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def context(untrained, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(40):  # two words, a low and a high note
        wave = np.sin(2 * np.pi * (300, 2000)[number % 2] * (1 + number / 100) * np.arange(800) / 8000)
        soundfile.write(clips / f"{('low', 'high')[number % 2]}_{number}.wav", wave, 8000)
    words = ("data=audio", f"data.path={clips}", "'data.pattern=\"([^_]+)_.*\"'".strip("'"), "data.seconds=0.1")
    small = ("data.mels=16", "data.hop=80", f"data.cache={tmp_path}/cache", "condition=label", "condition.classes=2")
    run = untrained(*words, *small, "likelihood=gaussian", space=Audio((1, 16, 10), hop=80))
    (tmp_path / "out").mkdir()
    return open_run(run, tmp_path / "out", device="cpu")


def test_samples_are_sounds_and_evaluated_by_class(context, monkeypatch):
    monkeypatch.setattr("vaekit.tasks.shared.classifier.STEPS", 30)
    context.vae.condition.training_values.copy_(torch.arange(1000) % 2)
    sample(context, n=3, label=1)
    assert len(list((context.out / "samples").glob("*.wav"))) == 3 and (context.out / "samples.png").is_file()
    sample(context, n=2, quality=True)
    found = json.loads((context.out / "quality.json").read_text())
    assert found["real"]["accuracy"] == 1
    assert found["samples"]["accuracy"] < 0.9, "an untrained model does not know the classes"


def test_file_names_of_a_synthetic_set_contain_the_class(context, monkeypatch):
    monkeypatch.setattr("vaekit.tasks.shared.classifier.STEPS", 2)
    context.vae.condition.training_values.copy_(torch.arange(1000) % 2)
    synthesize(context, n=6)
    names = sorted(file.name.partition("_")[0] for file in (context.out / "synthetic").iterdir())
    assert len(names) == 6 and set(names) <= {"low", "high"}


SPOKEN_DIGITS = (
    "data=audio", f"data.path={os.environ.get('VAEKIT_DATA', '')}/FSDD/recordings", 'data.pattern="([^_]+)_.*"',
    "condition=label", "condition.classes=10",
)  # fmt: skip
real_data = pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA does not say where real data are")


@pytest.mark.slow
@real_data
def test_digits_spoken_by_the_model_are_recognized(tmp_path):
    """The commands of docs/sound.md: 3 minutes."""
    budget = ("data.batch_size=64", "trainer.max_epochs=25", "trainer.precision=bf16-mixed")
    run = train(tmp_path / "run", "model=audio_vae", *SPOKEN_DIGITS, *budget, small=())
    use(run, "sample", "task.quality=true")
    found = json.loads((run / "tasks/sample/quality.json").read_text())
    assert found["real"]["accuracy"] > 0.9
    assert found["samples"]["accuracy"] > 0.8


@pytest.mark.slow
@real_data
def test_waveforms_depend_on_z_and_on_earlier_samples(tmp_path):
    """Its command for waves: 12 minutes. A uniform draw has 28,391 nats."""
    budget = ("data.batch_size=16", "trainer.max_epochs=10", "trainer.precision=bf16-mixed")
    words = ("model=wave_vae", "data.representation=wave", *SPOKEN_DIGITS, *budget)
    run = train(tmp_path / "run", *words, "evaluation.num_samples=1", small=())
    found = json.loads((run / "metrics.json").read_text())
    assert found["test/active_units"] > 16 and found["test/nll"] < 13_000
