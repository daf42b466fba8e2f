"""Conversions between sound and spectrograms or mu-law values."""

import math

import pytest
import torch

from vaekit.data.sound import filters, from_levels, from_mel, to_levels, to_mel

RATE, HOP, MELS, SAMPLES = 8000, 80, 64, 5120
TIME = torch.arange(SAMPLES) / RATE


def tone(hertz):
    return (2 * math.pi * hertz * TIME).sin()[None]


@pytest.mark.parametrize(("rate", "mels"), [(8000, 64), (8000, 80), (16_000, 40), (22_050, 80)])
def test_every_mel_filter_and_every_inner_frequency_has_weight(rate, mels):
    bands = filters(rate, mels)
    assert (bands.sum(1) > 0).all()
    first, last = bands.argmax(1)[[0, -1]]
    assert (bands.sum(0)[first + 1 : last] > 0.9).all()


def test_high_frequencies_are_above_low_ones():
    rows = [int(to_mel(tone(hertz), RATE, HOP, MELS)[0, 0, :, 30].argmax()) for hertz in (200, 800, 3000)]
    assert rows[0] > rows[1] > rows[2]


def test_loudness_does_not_matter_and_decibels_do():
    wave = tone(500) * (TIME < 0.32) + 0.01 * tone(500) * (TIME >= 0.32)
    x = to_mel(wave, RATE, HOP, MELS)
    assert x.shape == (1, 1, MELS, SAMPLES // HOP) and x.max() == 1 and x.min() >= 0
    torch.testing.assert_close(to_mel(0.05 * wave, RATE, HOP, MELS), x, atol=2e-2, rtol=0)
    loud, soft = x[0, 0, :, 16].max(), x[0, 0, :, 48].max()
    assert float(loud - soft) == pytest.approx(40 / 80, abs=0.01)


def test_a_spectrogram_comes_back_from_its_sound():
    torch.manual_seed(0)
    chirp = (2 * math.pi * (300 * TIME + 1200 * TIME.square())).sin() + 0.5 * (2 * math.pi * 900 * TIME).sin()
    x = to_mel(chirp[None], RATE, HOP, MELS)
    wave = from_mel(x, RATE, HOP)
    assert wave.shape == (1, SAMPLES) and float(wave.abs().max()) == pytest.approx(0.9)
    again = to_mel(wave, RATE, HOP, MELS)
    assert (again - x).abs()[x > 0.6].mean() < 0.03


def test_waves_come_back_from_levels():
    wave = torch.linspace(-1, 1, 4001)
    levels = to_levels(wave)
    assert levels.dtype == torch.uint8 and levels.min() == 0 and levels.max() == 255
    again = from_levels(levels.float() / 255)
    assert ((again - wave).abs() <= 0.002 + 0.025 * wave.abs()).all()
    assert torch.equal(to_levels(from_levels(torch.arange(256) / 255)), torch.arange(256).byte())
