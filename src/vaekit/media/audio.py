"""Sound files, folders of them, and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data import audio, sound
from vaekit.data.files import printable
from vaekit.data.npz import holds_arrays
from vaekit.media.figures import Headings, save_grid
from vaekit.media.image import Image
from vaekit.media.medium import Names, Read, Write, write_arrays
from vaekit.media.real import Real, first


class Audio(Image):
    """A sound file, a folder of them named by their path in it, or rows as for images.

    Written as a folder of WAV files, from spectrograms by the phases of Griffin and Lim, and as a picture of
    spectrograms.
    """

    def open(self, path: Path) -> tuple[Names, Read]:
        if holds_arrays(path):
            return Real.open(self, path)
        if path.is_file():
            clips = {printable(path.name): audio.read(path, self.space)}
        else:
            files = audio.sound_files(path)
            found = audio.read_folder(files, self.space, "task.input")
            clips = {printable(files[row].relative_to(path)): clip for row, clip in found.items()}

        def read(part: slice) -> Batch:
            x = torch.cat([*clips.values()][part])
            return Batch(x.float() / 255 if self.space.bins else x)

        return list(clips), read

    def waves(self, x: Tensor) -> Tensor:
        """Waves `[n, samples]` in [-1, 1] of x `[n, *space.shape]`."""
        x = x.float().cpu()
        if self.space.bins:
            return sound.from_levels(x.flatten(1))
        return sound.from_mel(x, self.space.rate, self.space.hop)

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        shown = first(x, columns)
        path.mkdir(parents=True, exist_ok=True)
        for number, wave in enumerate(self.waves(shown), 1):
            audio.write(path / f"{number:0{len(str(len(shown)))}}.wav", wave, self.space.rate)
        space = self.space
        if space.bins:
            shown = sound.spectrograms(shown.float().cpu(), space.rate, space.hop)
            space = replace(space, shape=tuple(shown.shape[1:]), bins=None)
        title = f"{headings.title or 'Sounds'}: spectrograms, time to the right, frequency upwards"
        headings = replace(headings, title=title)
        save_grid(path.with_suffix(".png"), shown, space, columns, headings)

    @property
    def set_writers(self) -> dict[str, Write]:
        return {"arrays": write_arrays, "audio": self._write_set}

    def _write_set(self, folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
        """synthetic/: a WAV file for each row, CLASS_NUMBER.wav; 'data.pattern="([^_]+)_.*"' finds the class."""
        (folder / "synthetic").mkdir()
        rows = torch.from_numpy(x).float() / (255 if self.space.bins else 1)
        waves = (wave for part in rows.split(256) for wave in self.waves(part))
        values = ["clip"] * len(x) if label is None else [classes.get(each, str(each)) for each in label.tolist()]
        for number, (wave, value) in enumerate(zip(waves, values, strict=True)):
            audio.write(folder / "synthetic" / f"{value}_{number:0{len(str(len(x)))}}.wav", wave, self.space.rate)
