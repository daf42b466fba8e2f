"""A folder of sound files."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from functools import cached_property
from math import gcd
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from vaekit.data import sound
from vaekit.data.cache import cached, fingerprint
from vaekit.data.files import below, check_folder, printable, report_skipped
from vaekit.data.source import Rows, Source, Split
from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.spaces import Audio as Space
from vaekit.track import track

log = logging.getLogger(__name__)


class Unreadable(Refusal):
    """A file is not a sound, or is broken. It is skipped in a folder."""


SUFFIXES = {".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3"}
REPRESENTATIONS = ("mel", "wave")
FASTEST = 10**6  # samples a second
LONGEST = 2**26  # samples of a clip
PACKED = 2**13  # samples that a byte of a file can hold, at most: silence in FLAC
REACH = 10  # of scipy's filter to either side, in periods of the lower rate
EXAMPLE = typed("data.pattern", "([^_]+)_.*")


class Audio(Source):
    """The sound files of a folder, each a clip of equal length.

    Longer files are cut, shorter ones end in silence. Files of another rate are resampled, and channels are averaged to
    one, which is logged. Files that are not sounds are named and skipped.

    Args:
        path: The folder, or one file.
        representation: `mel`, spectrograms `[1, mels, frames]`, or `wave`, 256 mu-law levels `[1, 1, samples]`.
        pattern: Regular expression whose first group is the class in a file's name without its suffix; None for no
            classes. Labels number the classes in sorted order.
        seconds: Length of a clip.
        rate: Samples a second.
        mels: Frequency bands of a spectrogram, at most rate / 100.
        hop: Samples between frames of a spectrogram.
        cache: Folder of decoded rows, see `cached`.

    Raises:
        Refusal: If settings do not fit each other, no file can be read, or a file is cut off, empty, silent or does not
            match the pattern; the message names the file.
    """

    suffixes = SUFFIXES

    def __init__(
        self,
        path: str | Path | None,
        representation: str = "mel",
        pattern: str | None = None,
        seconds: float = 0.64,
        rate: int = 8000,
        mels: int = 40,
        hop: int = 128,
        cache: str | Path | None = None,
    ):
        if path is None:
            raise Refusal("data.path is not set; name the folder with your sounds, for example data.path=recordings.")
        if representation not in REPRESENTATIONS:
            raise Refusal(
                f"Got data.representation={representation}, expected mel or wave; use data.representation=mel."
            )
        if seconds * rate > LONGEST or rate > FASTEST:
            raise Refusal(
                f"Got data.seconds={seconds} data.rate={rate}, clips of {seconds * rate:,.0f} samples, expected at "
                f"most {LONGEST:,} and data.rate={FASTEST}; use data.seconds=0.64 data.rate=8000."
            )
        frames = round(seconds * rate / hop) if min(rate, hop) > 0 else 0
        if frames < 1 or not 0 < mels <= rate // 100:
            raise Refusal(
                f"Got data.seconds={seconds} data.rate={rate} data.mels={mels} data.hop={hop}, expected at least a "
                "frame of hop / rate seconds, and 1 to rate / 100 mels; use data.seconds=0.64 data.rate=8000 "
                "data.mels=40 data.hop=128."
            )
        try:
            self.pattern = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise Refusal(f"data.pattern={pattern} is not a regular expression ({error}); use {EXAMPLE}.") from None
        if self.pattern and not self.pattern.groups:
            raise Refusal(f"data.pattern={pattern} has no group for the class; use {EXAMPLE}.")
        self.path, self.cache = Path(path).expanduser(), cache
        self.name = self.path.absolute().name
        shape, levels = ((1, mels, frames), None) if representation == "mel" else ((1, 1, round(seconds * rate)), 256)
        self._space = Space(shape, levels, rate=rate, hop=hop)

    @property
    def space(self) -> Space:
        return self._space

    @cached_property
    def files(self) -> list[Path]:
        return sound_files(self.path)

    @cached_property
    def _class(self) -> list[str] | None:
        """That of each file."""
        if self.pattern is None:
            return None
        found = []
        for file in self.files:
            if (match := self.pattern.fullmatch(file.stem)) is None or match[1] is None:
                raise Refusal(
                    f"The name of {printable(file)} does not match data.pattern={self.pattern.pattern}; rename it, or "
                    "use another pattern, or data.pattern=null for no classes."
                )
            found.append(printable(match[1]))
        return found

    def classes(self) -> dict[str, int]:
        """The label of each class."""
        return {} if self._class is None else {name: label for label, name in enumerate(sorted(set(self._class)))}

    def load(self, split: Split) -> Rows | None:
        if split == "test":
            return None
        numbers = self.classes()
        options = f"{self.path.absolute()} {self.space} {self.pattern and self.pattern.pattern}"
        key = f"{self.name}-{hashlib.sha256(options.encode()).hexdigest()[:8]}"

        def build(folder: Path) -> None:
            clips = read_folder(self.files, self.space, "data.path")
            if self._class is not None:
                np.save(folder / "label.npy", np.array([numbers[self._class[row]] for row in clips]))
            np.save(folder / "x.npy", torch.cat([*clips.values()]).numpy())

        return Rows(**cached(self.cache, key, fingerprint(self.files), build))


def read_folder(files: Sequence[Path], space: Space, where: str) -> dict[int, Tensor]:
    """The clips `[1, *space.shape]` of the sounds that can be read, by their place in `files`; others are logged.

    Args:
        files: Of a folder.
        space: See `read`.
        where: See `report_skipped`.

    Raises:
        Refusal: If there is no clip.
    """
    clips, problems = dict[int, Tensor](), list[str]()
    for row, file in enumerate(track(files, "reading sounds")):
        try:
            clips[row] = read(file, space)
        except Unreadable as error:
            problems.append(str(error))
    report_skipped(problems, len(files), "sounds", where)
    return clips


def sound_files(path: Path) -> list[Path]:
    """A sound file, or the sound files of a folder, sorted, without hidden ones.

    Args:
        path: The file or folder.

    Raises:
        Refusal: If there is none.
    """
    if path.is_file():
        return [path]
    check_folder(path, "data.path", "sounds")
    found = sorted(map(Path, below(path, SUFFIXES)))
    if not found:
        raise Refusal(f"There are no sounds ({' '.join(sorted(SUFFIXES))}) in {path}; name another folder.")
    return found


def read(file: Path, space: Space) -> Tensor:
    """The clip of a file as a data set holds it: `[1, *space.shape]`, float32 spectrograms or uint8 levels.

    Args:
        file: A sound file.
        space: Its representation, rate and length.

    Raises:
        Refusal: As `Audio` does.
    """
    samples = space.hop * space.shape[2] if space.bins is None else space.shape[2]
    wave = torch.from_numpy(_wave(file, space.rate, samples))
    clip = torch.nn.functional.pad(wave[:samples], (0, max(0, samples - len(wave))))[None]
    if not clip.any():
        raise Refusal(
            f"{printable(file)} is silent for the {samples / space.rate:g} s of a clip; remove it, or use longer "
            "clips, data.seconds=2."
        )
    if space.bins is None:
        return sound.to_mel(clip, space.rate, space.hop, space.shape[1])
    return sound.to_levels(clip / clip.abs().max())[:, None, None]


def _wave(file: Path, rate: int, samples: int) -> np.ndarray:
    """The first samples of a file, mixed to one channel, at this rate."""
    name = printable(file)
    if (missing := _cut_off(file)) > 0:
        raise Refusal(f"{name} is cut off: {missing} of its bytes are missing; copy it again, or remove it.")
    library = soundfile()
    try:
        with library.SoundFile(os.fsencode(file)) as opened:  # a name may not be valid text
            own, stated = opened.samplerate, opened.frames
            if not 0 < own <= FASTEST or stated > PACKED * file.stat().st_size:
                raise Unreadable(
                    f"Cannot read {name} as sound (its header states {stated} samples, {own} per second); save it "
                    "again as WAV, or remove it."
                )
            wanted = -(-samples * own // rate) + REACH * max(own, rate) // rate + 1
            wave = opened.read(min(wanted, stated), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # errors of soundfile derive from RuntimeError
        why = getattr(error, "error_string", error)
        raise Unreadable(f"Cannot read {name} as sound ({why}); save it again as WAV, or remove it.") from error
    if not len(wave):
        raise Refusal(f"{name} is empty: it holds no samples; remove it.")
    if not np.isfinite(wave).all():
        raise Refusal(f"{name} holds NaN or infinite samples; save it again as WAV, or remove it.")
    if wave.shape[1] > 1:
        log.warning("%s has %d channels, which are mixed to one.", name, wave.shape[1])
    mixed = wave.mean(1, dtype=np.float64).astype(np.float32)
    if own == rate:
        return mixed
    from scipy.signal import resample_poly

    shared = gcd(own, rate)
    return resample_poly(mixed, rate // shared, own // shared).astype(np.float32)


def _cut_off(file: Path) -> int:
    """How many bytes a WAV file is shorter than its header states."""
    with file.open("rb") as opened:
        head = opened.read(12)
    stated = int.from_bytes(head[4:8], "little") + 8
    if head[:4] != b"RIFF" or head[8:] != b"WAVE" or stated >= 2**32:  # a streamed file does not state its length
        return 0
    return stated - file.stat().st_size


def soundfile() -> ModuleType:
    """The package `soundfile`.

    Raises:
        Refusal: If it is not installed, with what to type.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without its library
        raise Refusal(f"Sound files need the library soundfile ({error}); type: pip install '.[audio]'") from None
    return soundfile


def write(file: Path, wave: Tensor, rate: int) -> None:
    """Write a wave as WAV of 16 bits.

    Args:
        file: The WAV file.
        wave: `[samples]` in [-1, 1]; values beyond are clipped.
        rate: Samples a second.
    """
    soundfile().write(file, wave.clamp(-1, 1).cpu().numpy(), rate, subtype="PCM_16")
