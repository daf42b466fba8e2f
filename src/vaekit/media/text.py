"""Text: a file with one sentence per line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data import text
from vaekit.media.figures import Headings
from vaekit.media.medium import Medium, Names, Read, Write
from vaekit.refusal import Refusal


class Text(Medium):
    """Lines of a text file in UTF-8, named by their number from 1; written one per line.

    Nothing is cut: a sentence that is too long for the run is refused, with its line.
    """

    def open(self, path: Path) -> tuple[Names, Read]:
        lines = text.read(path)
        sentences = self.space.encode(lines)
        text.refuse_unknown(path, lines, sentences)
        most = self.space.size - 1
        for number, sentence in enumerate(sentences, 1):
            if len(sentence) > most:
                raise Refusal(
                    f"{path}, line {number} has {len(sentence)} tokens, expected at most {most}; shorten it, or train "
                    f"with data.length={len(sentence) + 1}."
                )
        x = torch.from_numpy(self.space.pad(sentences)).float()
        return range(1, len(x) + 1), lambda part: Batch(x[part])

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        path.with_suffix(".txt").write_text("".join(f"{each}\n" for each in self.space.decode(x)), encoding="utf-8")

    @property
    def set_writers(self) -> dict[str, Write]:
        return super().set_writers | {"text": self._write_set}

    def _write_set(self, folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
        """synthetic.txt"""
        self.write(folder / "synthetic", torch.from_numpy(x), 1)
