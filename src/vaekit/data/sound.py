"""Mel spectrograms and mu-law values of sound, and back."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

RANGE = 80.0  # decibels below the loudest value of a clip at which values are cut off
WINDOW = 0.032  # seconds in the window of a spectrum
MU = 255.0
MELS = 40  # of a wave's spectrogram
ROUNDS, MOMENTUM = 60, 0.99  # of Griffin and Lim


def _sizes(rate: int) -> tuple[int, int]:
    """Samples in a window, and in the Fourier transform, twice as fine."""
    window = round(WINDOW * rate)
    return window, 2 ** math.ceil(math.log2(2 * window))


@cache
def filters(rate: int, mels: int) -> Tensor:
    """Triangular mel filters from 0 to half the rate, by O'Shaughnessy's formula: `[mels, frequencies]`.

    Args:
        rate: Samples a second.
        mels: Number of bands, evenly spaced in mel.
    """

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    edges = 700 * (10 ** (torch.linspace(0, mel(rate / 2), mels + 2, dtype=torch.float64) / 2595) - 1)
    at = torch.linspace(0, rate / 2, _sizes(rate)[1] // 2 + 1, dtype=torch.float64)
    low, top, high = (edges[i : mels + i, None] for i in range(3))
    return torch.minimum((at - low) / (top - low), (high - at) / (high - top)).clamp(min=0).float()


def spectrum(wave: Tensor, rate: int, hop: int) -> Tensor:
    """The complex short-time Fourier transform, `[n, frequencies, 1 + samples // hop]`.

    Args:
        wave: `[n, samples]`.
        rate: Samples a second, which sets the window.
        hop: Samples between frames.
    """
    window, size = _sizes(rate)
    hann = torch.hann_window(window, device=wave.device)
    return torch.stft(wave, size, hop, window, hann, center=True, pad_mode="constant", return_complex=True)


def to_mel(wave: Tensor, rate: int, hop: int, mels: int) -> Tensor:
    """Mel spectrograms `[n, 1, mels, frames]` in decibels, scaled to [0, 1], high frequencies first.

    The loudest value of every spectrogram is 1. Values `RANGE` decibels below it or lower are 0.

    Args:
        wave: `[n, hop * frames]`.
        rate: Samples a second.
        hop: Samples between frames.
        mels: Number of bands.
    """
    wave = wave / wave.abs().amax(1, keepdim=True).clamp(min=torch.finfo(wave.dtype).tiny)  # in floats of any size
    power = filters(rate, mels).to(wave) @ spectrum(wave, rate, hop)[..., :-1].abs().square()
    decibels = 10 * power.clamp(min=1e-10).log10()
    below = decibels - decibels.amax((1, 2), keepdim=True)
    return (1 + below / RANGE).clamp(min=0).flip(1).unsqueeze(1)


def from_mel(x: Tensor, rate: int, hop: int) -> Tensor:
    """Waves `[n, hop * frames]`, loudest at 0.9, whose spectrogram is near x.

    Phases by the algorithm of Griffin and Lim with momentum.

    Args:
        x: `[n, 1, mels, frames]`, as `to_mel` makes them.
        rate: Samples a second.
        hop: Samples between frames.

    References:
        Daniel Griffin, Jae Lim. Signal Estimation from Modified Short-Time Fourier Transform. IEEE Transactions on
            Acoustics, Speech, and Signal Processing, 1984. https://doi.org/10.1109/TASSP.1984.1164317
        Nathanael Perraudin, Peter Balazs, Peter Soendergaard. A Fast Griffin-Lim Algorithm. In WASPAA 2013.
            https://doi.org/10.1109/WASPAA.2013.6701851
    """
    power = 10 ** ((x.squeeze(1).flip(1).clamp(0, 1) - 1) * RANGE / 10)
    back = torch.linalg.pinv(filters(rate, x.shape[2])).to(power)
    size = pad((back @ power).clamp(min=0).sqrt(), (0, 1))  # the last frame is silent
    window, fft = _sizes(rate)
    hann, samples = torch.hann_window(window, device=x.device), hop * x.shape[3]

    def inverse_spectrum(spectra: Tensor) -> Tensor:
        return torch.istft(spectra, fft, hop, window, hann, center=True, length=samples)

    phase, before = torch.polar(torch.ones_like(size), 2 * math.pi * torch.rand_like(size)), torch.zeros_like(size)
    for _ in range(ROUNDS):
        now = spectrum(inverse_spectrum(size * phase), rate, hop)
        extrapolated = now + MOMENTUM * (now - before)
        phase, before = extrapolated / extrapolated.abs().clamp(min=1e-8), now
    wave = inverse_spectrum(size * phase)
    return 0.9 * wave / wave.abs().amax(1, keepdim=True).clamp(min=1e-8)


def to_levels(wave: Tensor) -> Tensor:
    """Mu-law levels 0 .. 255 of waves, uint8 (ITU-T G.711).

    Args:
        wave: Values in [-1, 1]; values beyond are clipped.

    Example:
        >>> import torch
        >>> from vaekit.data.sound import to_levels
        >>> to_levels(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    squeezed = wave.sign() * (MU * wave.abs().clamp(max=1)).log1p() / math.log1p(MU)
    return ((squeezed + 1) / 2 * MU).round().byte()


def from_levels(x: Tensor) -> Tensor:
    """Waves in [-1, 1] of mu-law levels.

    Args:
        x: Levels in the data space, k / 255.
    """
    squeezed = 2 * x.clamp(0, 1) - 1
    return squeezed.sign() * ((squeezed.abs() * math.log1p(MU)).expm1()) / MU


def spectrograms(x: Tensor, rate: int, hop: int) -> Tensor:
    """Mel spectrograms `[n, 1, MELS, frames]` of waves.

    Args:
        x: `[n, 1, 1, samples]`, mu-law levels in the data space.
        rate: Samples a second.
        hop: Samples between frames.
    """
    samples = x.shape[3]
    return to_mel(from_levels(x.flatten(1)), rate, min(hop, samples), MELS)
