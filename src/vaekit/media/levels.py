"""Levels of games as text, one character per tile, and as pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data.levels import TILES, level_files, one_hot, read_level
from vaekit.data.npz import holds_arrays
from vaekit.media.figures import Headings, save_pixels
from vaekit.media.medium import Imputed, Medium, Names, Read, Write
from vaekit.media.real import Real, first, imputed_panels
from vaekit.refusal import Refusal
from vaekit.track import track

UNKNOWN = "?_~"  # the first of these characters that is not a tile marks an unknown cell
SIDE = 6  # pixels of a tile
# red, green, blue of the first property in this order that a tile has
COLORS = {
    "spawn": (90, 200, 250),
    "enemy": (220, 60, 50),
    "pickupable": (250, 210, 60),
    "collectable": (250, 210, 60),
    "rope": (220, 220, 220),
    "ladder": (150, 150, 220),
    "pipe": (70, 170, 80),
    "cannon": (100, 110, 130),
    "question block": (240, 150, 50),
    "diggable": (170, 85, 55),
    "breakable": (190, 110, 70),
    "solid": (110, 100, 95),
    "passable": (25, 25, 35),
    "other": (200, 80, 200),
    "unknown": (70, 70, 70),
}


class Levels(Real):
    """A text file of a game's level, a folder of them, or rows as for vectors.

    `?` is an unknown cell (`_` if `?` is a tile). Written as text, NAME/1.txt, ..., and as a picture of
    all.
    """

    @property
    def unknown(self) -> str:
        return next(each for each in UNKNOWN if each not in self.space.tiles)

    def open(self, path: Path) -> tuple[Names, Read]:
        if holds_arrays(path):
            return super().open(path)
        files = [path] if path.is_file() else level_files(path)
        return [file.name for file in files], lambda part: self._batch(files[part])

    def _batch(self, files: Sequence[Path]) -> Batch:
        x, known = zip(*(one_hot(self._level(file), self.space) for file in files), strict=True)
        observed = torch.from_numpy(np.stack(known))
        mask = None if observed.all() else self.space.per_value(observed.float())
        return Batch(torch.from_numpy(np.stack(x)).float(), mask=mask)

    def _level(self, file: Path) -> list[str]:
        level, (_, height, width) = read_level(file, self.space.tiles, self.unknown), self.space.shape
        if (len(level), len(level[0])) != (height, width):
            raise Refusal(
                f"{file} is {len(level)}x{len(level[0])}, but the model's levels are {height}x{width}; crop it, or pad "
                f"it with {self.unknown!r}."
            )
        return level

    def read_incomplete(self, path: str | Path) -> Batch:
        return super().read_incomplete(path) if holds_arrays(Path(path)) else Medium.read_incomplete(self, path)

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        levels = [self.text(each) for each in x]
        path.mkdir(parents=True, exist_ok=True)
        for number, level in enumerate(levels, 1):
            self._write_text(path / f"{number}.txt", level)
        self.draw(path, first(levels, columns), columns, headings)

    def draw(self, path: Path, levels: Sequence[Sequence[str]], columns: int, headings: Headings) -> None:
        """A picture of levels, a square of `SIDE` pixels for each tile."""
        cells = np.array([[[COLORS[self.kind(tile)] for tile in line] for line in level] for level in levels], np.uint8)
        shown = {tile for level in levels for line in level for tile in line}
        tiles = {kind: [tile for tile in sorted(shown) if self.kind(tile) == kind] for kind in COLORS}
        key = {f"{kind}: {' '.join(map(repr, each))}": COLORS[kind] for kind, each in tiles.items() if each}
        pictures = cells.repeat(SIDE, 1).repeat(SIDE, 2)
        save_pixels(path.with_suffix(".png"), pictures, columns, headings, pad=SIDE, key=key)

    def kind(self, tile: str) -> str:
        """The property that gives a tile its color."""
        properties = self.space.tiles.get(tile, ["unknown"])
        return next((name for name in COLORS if name in properties), "other")

    def text(self, x: Tensor) -> list[str]:
        """The lines of a level x `[*space.shape]`, one-hot or a mean (`rounded`); cells of zeros are unknown."""
        tiles = np.array([*self.space.tiles, self.unknown])
        return ["".join(line) for line in tiles[rounded(x).numpy()]]

    @property
    def set_writers(self) -> dict[str, Write]:
        return super().set_writers | {"levels": self._write_set}

    def _write_set(self, folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
        """levels/: a text file for each row, and tiles.json."""
        folder, digits = folder / "levels", len(str(len(x)))
        folder.mkdir()
        for number, level in enumerate(track(x, "writing levels"), 1):
            self._write_text(folder / f"{number:0{digits}}.txt", self.text(torch.from_numpy(level)))
        (folder / TILES).write_text(json.dumps({"tiles": self.space.tiles}, indent=1) + "\n", "utf-8")

    def _write_text(self, file: Path, level: Sequence[str]) -> None:
        file.write_text("\n".join(level) + "\n", "utf-8")

    def write_imputed(self, folder: Path, imputed: Imputed) -> None:
        """imputed/ and draw_1/, ...; imputed.png: each level with unknown cells, its mean, the draws and the truth."""
        Medium.write_imputed(self, folder, imputed)
        shown, headings = imputed_panels(imputed, 0, self.filled)
        self.draw(folder / "imputed", [self.text(each) for each in shown.flatten(0, 1)], shown.shape[1], headings)


def rounded(mean: Tensor) -> Tensor:
    """The tile of each cell by number, each tile as often as the mean expects it.

    Choosing the likeliest tile of every cell would drop rare tiles, such as the one where a game begins: it occurs
    once, but may be in many cells. So tiles are placed from the rarest to the most frequent one, each in the cells
    where its odds against the others are highest. The result for a one-hot map is that map.

    Args:
        mean: Probabilities `[tiles, H, W]`.

    Returns:
        `[H, W]`; -1 where all probabilities are 0.

    Example:
        >>> from vaekit.media.levels import rounded
        >>> rounded(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
        tensor([[0, 1]])
    """
    p = mean.double().flatten(1).cpu()
    expected, chosen = p.sum(1), torch.full(p.shape[1:], -1)
    counts = expected.floor()
    counts[(counts - expected).argsort()[: int(expected.sum().round() - counts.sum())]] += 1
    for tile in counts.argsort().tolist():
        others = torch.cat([p[:tile], p[tile + 1 :]]).amax(0)
        odds = torch.where((chosen < 0) & (p.sum(0) > 0), p[tile] / others, -1.0)
        chosen[odds.argsort(descending=True)[: int(counts[tile])]] = tile
    return chosen.reshape(mean.shape[1:])
