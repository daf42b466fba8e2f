"""A folder of sounds: clips, classes, and what is refused by name."""

import logging
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from vaekit import run_files, runs
from vaekit.data import audio as audio_file
from vaekit.data.audio import Audio
from vaekit.data.module import DataModule
from vaekit.refusal import Refusal
from vaekit.spaces import Audio as Space

soundfile, signal = pytest.importorskip("soundfile"), pytest.importorskip("scipy.signal")


def tone(hertz=440, seconds=0.5, rate=8000, channels=1):
    wave = 0.5 * np.sin(2 * math.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels, 1)


def save(folder, name="0_ann_0.wav", wave=None, rate=8000):
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, tone(rate=rate) if wave is None else wave, rate, subtype="PCM_16")
    return folder / name


@pytest.fixture
def folder(tmp_path):
    for number in range(12):
        save(tmp_path / "clips", f"{'ab'[number % 2]}_{number}.wav", tone(300 + 100 * number))
    return tmp_path / "clips"


def audio(folder, **options):
    return Audio(folder, cache=folder.parent / "cache", **options)


def test_clips_and_the_classes_in_their_names(folder):
    source = audio(folder, pattern="([^_]+)_.*")
    rows = source.load("train")
    assert source.space == Space((1, 40, 40)) and rows.x.shape == (12, 1, 40, 40) and source.load("test") is None
    source.space.check(torch.from_numpy(rows.x))
    assert source.classes() == {"a": 0, "b": 1}
    assert [source.files[i].name[0] for i in range(12)] == ["ab"[label] for label in rows.label]
    top = rows.x[:, 0, :, 12].argmax(1)
    order = np.argsort([int(file.stem.partition("_")[2]) for file in source.files])
    assert (np.diff(top[order]) <= 0).all(), "higher notes stand higher"
    assert audio(folder).load("train").label is None
    batch = DataModule(source, test=3, validation=3).sample("test", 3)
    assert batch.x.shape == (3, 1, 40, 40)


def test_waves_are_mu_law_levels(folder):
    source = audio(folder, representation="wave", seconds=0.1)
    rows = source.load("train")
    assert source.space == Space((1, 1, 800), 256) and rows.x.dtype == np.uint8 and rows.x.shape == (12, 1, 1, 800)
    source.space.check(DataModule(source).sample("train", 4).x)


def test_another_rate_is_resampled_and_lengths_are_made_one(tmp_path):
    save(tmp_path / "c", "a.wav", tone(rate=8000, seconds=1.0))
    save(tmp_path / "c", "b.wav", tone(rate=22_050, seconds=1.0), 22_050)
    save(tmp_path / "c", "d.wav", tone(rate=8000, seconds=0.2))
    x = audio(tmp_path / "c").load("train").x
    assert np.abs(x[0, ..., :-3] - x[1, ..., :-3])[x[0, ..., :-3] > 0.6].mean() < 0.02
    assert x[2, ..., 20:].max() < 0.2, "silence behind"


def test_two_channels_are_mixed_and_it_is_said(tmp_path, caplog):
    save(tmp_path / "c", "a.wav", tone(channels=2))
    save(tmp_path / "c", "b.wav", tone())
    with caplog.at_level(logging.WARNING):
        x = audio(tmp_path / "c").load("train").x
    assert "a.wav has 2 channels, which are mixed to one" in caplog.text and "b.wav" not in caplog.text
    np.testing.assert_allclose(x[0], x[1], atol=1e-4)


def truncated(folder):
    file = save(folder, "cut.wav")
    file.write_bytes(file.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (truncated, "cut.wav is cut off: 1000 of its bytes"),
        (lambda folder: save(folder, "none.wav", np.zeros((0, 1))), "none.wav is empty"),
        (lambda folder: save(folder, "quiet.wav", np.zeros((900, 1))), "quiet.wav is silent"),
        (lambda folder: save(folder, "noclass.wav"), "noclass.wav does not match"),
    ],
)
def test_files_without_a_clip_are_refused_by_name(folder, make, words):
    make(folder)
    pattern = "([^_]+)_.*" if "match" in words else None
    with pytest.raises(Refusal, match=words):
        audio(folder, pattern=pattern).load("train")


def endless(file):
    """A FLAC whose header says that it has 2^36 - 1 samples."""
    soundfile.write(file, tone(), 8000)
    raw = bytearray(file.read_bytes())
    raw[21] |= 0x0F  # of bytes 21 to 25, the lower 36 bits
    raw[22:26] = b"\xff" * 4
    file.write_bytes(raw)


def fast(file):
    """A WAV of 2 * 10^9 samples a second."""
    soundfile.write(file, tone(), 8000, subtype="PCM_16")
    raw = bytearray(file.read_bytes())
    raw[24:28] = (2 * 10**9).to_bytes(4, "little")
    file.write_bytes(raw)


BROKEN = {
    "0_text.wav": lambda file: file.write_text("no sound at all, only words"),
    "0_bytes.flac": lambda file: file.write_bytes(b"fLaC" + bytes(99)),
    "0_endless.flac": endless,
    "0_fast.wav": fast,
}


@pytest.mark.parametrize("name", BROKEN)
def test_unreadable_files_are_named_and_skipped(folder, caplog, name):
    whole = audio(folder, pattern="([^_]+)_.*").load("train")
    BROKEN[name](folder / name)
    with caplog.at_level(logging.WARNING):
        rows = audio(folder, pattern="([^_]+)_.*").load("train")
    assert f"Skipped 1 of 13 sounds that cannot be read:\nCannot read {folder / name} as sound" in caplog.text
    np.testing.assert_array_equal(rows.x, whole.x)
    assert rows.label.tolist() == [label + 1 for label in whole.label], "the skipped one's class stays"
    for file in folder.glob("[ab]_*"):
        file.unlink()
    with pytest.raises(Refusal, match=f"Cannot read .*{name}"):
        audio(folder).load("train")


@pytest.mark.parametrize("size", [1e-30, 1e30, 3e38])
def test_floats_of_any_size_are_one_sound(tmp_path, size):
    for name, wave in (("a", tone(channels=2)), ("b", tone(channels=2) * size)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "x.wav", wave, 8000, subtype="FLOAT")
    for representation in ("mel", "wave"):
        a, b = (Audio(tmp_path / name, representation=representation).load("train").x for name in "ab")
        np.testing.assert_allclose(b.astype(float), a, atol=1e-4 if representation == "mel" else 1)


def test_a_file_name_that_is_not_utf8_has_a_class(folder, caplog):
    os.rename(folder / "a_0.wav", os.fsencode(folder) + b"/caf\xe9_0.wav")
    source = audio(folder, pattern="([^_]+)_.*")
    assert list(source.classes()) == ["a", "b", "caf\\xe9"] and len(source.load("train")) == 12
    (folder / os.fsdecode(b"caf\xe9_0.wav")).write_bytes(b"")
    assert len(audio(folder, pattern="([^_]+)_.*").load("train")) == 11
    assert "caf\\xe9_0.wav as sound (Format not recognised" in caplog.text


def test_of_a_long_file_only_the_clip_is_read(tmp_path, monkeypatch):
    long = np.random.default_rng(0).normal(0, 0.1, 48_000).astype("float32")
    expected = signal.resample_poly(long, 80, 441)[:5120]
    soundfile.write(tmp_path / "a.wav", long, 44_100, subtype="FLOAT")
    wave = audio_file._wave(tmp_path / "a.wav", 8000, 5120)
    assert len(wave) < 5200
    np.testing.assert_allclose(wave[:5120], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"representation": "midi"}, "data.representation=mel"),
        ({"pattern": "("}, "is not a regular expression"),
        ({"pattern": "[a-z]+"}, "has no group"),
        ({"seconds": 0}, "at least a frame"),
        ({"seconds": 1e9}, "clips of 8,000,000,000,000 samples, expected at most 67,108,864"),
        ({"rate": 10**9}, "data.rate=1000000000, clips of .* expected at most .* data.rate=1000000;"),
        ({"hop": 0}, "at least a frame"),
        ({"mels": 1000}, "1 to rate / 100 mels"),
    ],
)
def test_settings_without_a_clip_are_refused(tmp_path, options, words):
    with pytest.raises(Refusal, match=words):
        audio(tmp_path, **options)


def test_a_folder_without_sounds_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(Refusal, match="no sounds"):
        audio(tmp_path).load("train")
    with pytest.raises(Refusal, match="no folder"):
        audio(tmp_path / "none").load("train")
    with pytest.raises(Refusal, match=r"data.path=recordings"):
        Audio(None)


def test_a_run_keeps_the_space_exactly():
    for space in (Space((1, 64, 50), hop=80), Space((1, 1, 800), 256, rate=16_000)):
        assert runs.read_space(yaml.load(run_files.describe({}, space), runs._Loader)) == space


@pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA does not say where real data are")
def test_spoken_digits(tmp_path):
    clips = Path(os.environ["VAEKIT_DATA"], "FSDD/recordings")
    few = tmp_path / "clips"
    few.mkdir()
    for file in sorted(clips.glob("*_jackson_1?.wav")):
        (few / file.name).symlink_to(file)
    source = audio(few, pattern="([^_]+)_.*")
    assert source.classes() == {str(digit): digit for digit in range(10)}
    assert np.bincount(source.load("train").label).tolist() == [10] * 10
