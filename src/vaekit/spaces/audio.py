"""Clips of sound."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.spaces.maps import Maps


@dataclass(frozen=True)
class Audio(Maps):
    """Clips of sound: mel spectrograms, shape (1, mels, frames), high notes first, decibels in [0, 1]; or, where there
    are levels, mu-law waves, shape (1, 1, samples).

    rate: samples a second. hop: samples from a frame to the next.
    """

    rate: int = 8000
    hop: int = 128

    def __post_init__(self) -> None:
        if min(self.rate, self.hop) < 1 or (self.levels is not None and self.shape[1] != 1):
            raise ValueError(f"no sound: {self.shape}, {self.levels} levels, {self.rate} samples a second")
