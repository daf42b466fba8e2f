"""Sound clips."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.spaces.maps import Maps


@dataclass(frozen=True)
class Audio(Maps):
    """Sound clips: mel spectrograms (1, bands, frames), high bands first, decibels in [0, 1]; or waveforms (1, 1,
    samples).

    Args:
        shape: (1, bands, frames), or (1, 1, samples) for waveforms.
        bins: Number of mu-law values of a waveform, evenly spaced in [0, 1]; None for spectrograms.
        rate: Samples a second.
        hop: Samples from one frame of a spectrogram to the next.

    Raises:
        ValueError: If a number is below 1, or `bins` is set for a shape that is not that of a waveform.

    Example:
        >>> from vaekit.spaces import Audio
        >>> Audio((1, 64, 100)).values, Audio((1, 1, 8000), bins=256).values
        ('unit', 'discrete')
    """

    rate: int = 8000
    hop: int = 128

    def __post_init__(self) -> None:
        if min(self.rate, self.hop) < 1 or (self.bins is not None and self.shape[1] != 1):
            raise ValueError(f"not a sound: {self.shape}, {self.bins} bins, {self.rate} samples a second")
