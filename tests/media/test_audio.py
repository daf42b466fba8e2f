"""WAV files, read and written."""

import math

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.data import sound
from vaekit.data.audio import Audio as Source
from vaekit.media.medium import medium
from vaekit.refusal import Refusal
from vaekit.spaces import Audio

soundfile = pytest.importorskip("soundfile")
MEL, WAVE = Audio((1, 32, 30), hop=80), Audio((1, 1, 2400), 256)


def clips(folder, n=2):
    folder.mkdir()
    for number in range(n):
        wave = 0.7 * np.sin(2 * math.pi * (400 + 900 * number) * np.arange(2400) / 8000)
        soundfile.write(folder / f"{number}.wav", wave, 8000)
    return folder


@pytest.mark.parametrize("space", [MEL, WAVE], ids=["mel", "wave"])
def test_written_files_are_read_back(tmp_path, space):
    torch.manual_seed(0)
    shown = medium(space)
    names, read = shown.find(clips(tmp_path / "c"))
    x = read(slice(None)).x
    space.check(x)
    assert names == ["0.wav", "1.wav"] and shown.one(tmp_path / "c" / "0.wav").shape == (1, *space.shape)
    shown.write(tmp_path / "out", x, 1)
    assert (tmp_path / "out.png").is_file() and [file.name for file in sorted((tmp_path / "out").iterdir())] == [
        "1.wav",
        "2.wav",
    ]
    wave, rate = soundfile.read(tmp_path / "out" / "1.wav")
    assert rate == 8000 and len(wave) == 2400
    spectrum = np.abs(np.fft.rfft(wave))
    assert abs(spectrum.argmax() * 8000 / 2400 - 400) < 40, "the note that was there"
    again = shown.find(tmp_path / "out")[1](slice(None)).x
    assert (again - x).abs()[x > 0.6].mean() < 0.05


def test_waves_are_shown_as_their_spectrograms(tmp_path):
    """A note is a bright line, the higher the nearer to the top."""
    shown = medium(WAVE)
    x = shown.find(clips(tmp_path / "c"))[1](slice(None)).x
    low, high = sound.spectrograms(x, WAVE.rate, WAVE.hop).mean(3).squeeze(1).argmax(1).tolist()
    assert high < low < sound.MELS
    shown.write(tmp_path / "out", x, 1)
    with PIL.Image.open(tmp_path / "out.png") as picture:
        assert picture.height > 2 * sound.MELS and np.ptp(np.asarray(picture)) > 200


def test_a_set_of_clips_is_read_again_with_its_classes(tmp_path):
    x = medium(MEL).find(clips(tmp_path / "c", 3))[1](slice(None)).x
    medium(MEL).set_writers["audio"](tmp_path, x.numpy(), torch.tensor([1, 0, 1]), {0: "no", 1: "yes"})
    source = Source(
        tmp_path / "synthetic", pattern="([^_]+)_.*", seconds=0.3, mels=32, hop=80, cache=tmp_path / "cache"
    )
    assert source.space == MEL and source.classes() == {"no": 0, "yes": 1}
    assert source.load("train").label.tolist() == [0, 1, 1]


def test_a_broken_sound_in_a_folder_is_skipped_by_name_as_in_training(tmp_path, caplog):
    whole = medium(MEL).find(clips(tmp_path / "c", 3))[1](slice(None)).x
    broken = sorted((tmp_path / "c").iterdir())[1]
    broken.write_text("no sound")
    names, read = medium(MEL).find(tmp_path / "c")
    assert len(names) == 2 and broken.name not in names
    assert f"Skipped 1 of 3 sounds that cannot be read:\nCannot read {broken}" in caplog.text
    assert torch.equal(read(slice(None)).x, whole[[0, 2]])


def test_arrays_are_read_too_and_others_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).uniform(size=(2, *MEL.shape)).astype("float32"))
    assert medium(MEL).find(tmp_path / "x.npy")[1](slice(None)).x.shape == (2, *MEL.shape)
    (tmp_path / "x.txt").write_text("words")
    with pytest.raises(Refusal, match="Cannot read"):
        medium(MEL).one(tmp_path / "x.txt")
