"""Levels of games as text, one character per tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from vaekit.data.files import below, check_folder, read_text
from vaekit.data.source import Rows, Source, Split
from vaekit.refusal import Refusal
from vaekit.spaces import Levels as Space
from vaekit.whole_file import parse_json

TILES_AT_MOST = 256  # each is a channel of x
TILES = "tiles.json"
TESTED = 5  # of windows, those of every fifth level are the test rows

Tiles = dict[str, tuple[str, ...]]


class Levels(Source):
    """The game levels of a folder: a `.txt` file each, lines of equal length, a character a tile.

    A file `tiles.json` has the properties of each tile: {"tiles": {"#": ["passable", "climbable", "ladder"], ...}}.
    Without `window` all levels have one size.

    Args:
        path: The folder.
        window: Width in columns: rows are all pieces of levels of this width. Those of every fifth level are the test
            rows, those of the last of the others the validation rows. None for whole levels.
        count: Tiles whose counts in a row are its condition, for condition=attributes.

    Raises:
        Refusal: If a file cannot be read; the message names file and line.
    """

    def __init__(self, path: str | Path | None, window: int | None = None, count: Sequence[str] = ()):
        if path is None:
            raise Refusal(f"data.path is not set; name a folder of levels and their {TILES}: data.path=FOLDER.")
        if window is not None and window < 1:
            raise Refusal(f"Got data.window={window}, expected a width in columns, e.g. data.window=28.")
        self.path, self.window, self.count = Path(path).expanduser(), window, list(count)
        self.name = self.path.absolute().name

    @cached_property
    def space(self) -> Space:
        file, tiles = self._files[0], read_tiles(self.path / TILES)
        if unknown := [tile for tile in self.count if tile not in tiles]:
            raise Refusal(f"data.count names {unknown[0]!r}, which is not a tile; use one of {' '.join(tiles)}.")
        first = read_level(file, tiles)
        return Space((len(tiles), len(first), self.window or len(first[0])), tiles=tiles)

    def load(self, split: Split) -> Rows | None:
        if split == "test" and self.window is None:
            return None
        pieces = (piece for level in self._of(split).values() for piece in self._pieces(level))
        x = np.stack([one_hot(piece, self.space)[0] for piece in pieces])
        counted = [list(self.space.tiles).index(tile) for tile in self.count]
        condition = x[:, counted].sum((2, 3), dtype=np.float32) if counted else None
        last = None if self.window is None else len(self._pieces([*self._of(split).values()][-1]))
        return Rows(x, condition=condition, validation=last)

    @cached_property
    def names(self) -> list[str]:
        """The file of each training row; of a piece also its first column, from 1."""
        levels = self._of("train").items()
        if self.window is None:
            return [name for name, _ in levels]
        return [f"{name}, column {at}" for name, level in levels for at, _ in enumerate(self._pieces(level), 1)]

    def _of(self, split: Split) -> dict[str, list[str]]:
        """The whole levels of a split by their file."""
        levels = {file.name: self._read(file) for file in self._files}
        if self.window is None:
            return levels
        names = list(levels)
        if len(names) < 3:
            raise Refusal(
                f"{self.path} has {len(names)} levels, expected at least 3, because validation and test need "
                "levels of their own."
            )
        test = names[TESTED - 1 :: TESTED] or names[:1]
        return {name: level for name, level in levels.items() if (name in test) == (split == "test")}

    def _pieces(self, level: Sequence[str]) -> list[list[str]]:
        width = self.space.shape[2]
        return [[line[at : at + width] for line in level] for at in range(len(level[0]) - width + 1)]

    @cached_property
    def _files(self) -> list[Path]:
        return level_files(self.path)

    def _read(self, file: Path) -> list[str]:
        level, (_, height, width) = read_level(file, self.space.tiles), self.space.shape
        if len(level) == height and (len(level[0]) == width or (self.window and len(level[0]) > width)):
            return level
        size = f"{file} is {len(level)}x{len(level[0])}"
        if self.window is not None:
            raise Refusal(
                f"{size}, expected {height} lines of at least {width}; correct it, or use a smaller data.window."
            )
        fix = f"take pieces of one width: data.window={min(width, len(level[0]))}"
        if len(level) != height:
            fix = "give all levels one height, or remove this one"
        raise Refusal(f"{size}, the first level {height}x{width}; {fix}.")


def level_files(folder: Path) -> list[Path]:
    """The level files of a folder, by name.

    Args:
        folder: The folder.

    Raises:
        Refusal: If there is none.
    """
    check_folder(folder, "data.path", "levels")
    if files := sorted(file for file in map(Path, below(folder, {".txt"})) if file.parent == folder):
        return files
    raise Refusal(f"There are no levels (*.txt) in {folder}; name another folder.")


def read_tiles(file: Path) -> Tiles:
    """The properties of each tile.

    Args:
        file: A JSON file.

    Raises:
        Refusal: If it does not exist or holds something else.
    """
    if not file.is_file():
        raise Refusal(
            f"There is no file {file.absolute()}; write one that has the properties of each tile: "
            '{"tiles": {"X": ["solid"], "-": ["passable"]}}.'
        )
    text = read_text(file)
    try:
        tiles = {**parse_json(text)["tiles"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f'Cannot read {file} ({error!r}); write {{"tiles": {{"X": ["solid"], ...}}}}.') from error
    for tile, properties in tiles.items():
        words = isinstance(properties, list) and all(isinstance(each, str) and "${" not in each for each in properties)
        if len(tile) != 1 or not tile.isprintable() or not words:
            raise Refusal(f"{file}: the tile {tile!r} is not one character with a list of words; correct it.")
    if not 2 <= len(tiles) <= TILES_AT_MOST:
        raise Refusal(
            f"{file} has {len(tiles)} tiles, expected 2 to {TILES_AT_MOST}; keep only those that the levels use."
        )
    return {tile: tuple(properties) for tile, properties in tiles.items()}


def read_level(file: Path, tiles: Mapping[str, Sequence[str]], unknown: str = "") -> list[str]:
    """The lines of a level.

    Args:
        file: A text file.
        tiles: The tiles that may occur.
        unknown: A character that stands for any tile; empty for none.

    Raises:
        Refusal: If lines differ in length or a character is not a tile; the message names the line.
    """
    lines = read_text(file).rstrip("\n").split("\n")
    if not lines[0]:
        raise Refusal(f"{file} is empty; remove it, or write a level with the characters {' '.join(tiles)}.")
    for number, line in enumerate(lines, 1):
        if len(line) != len(lines[0]):
            raise Refusal(
                f"{file}, line {number}: got {len(line)} characters, expected {len(lines[0])} as in line 1; correct it."
            )
        for tile in line:
            if tile not in tiles and tile != unknown:
                raise Refusal(
                    f"{file}, line {number}: got {tile!r}, which is not a tile; use one of {' '.join(tiles)}, or add "
                    f"it to {TILES}."
                )
    return lines


def one_hot(level: Sequence[str], space: Space) -> tuple[np.ndarray, np.ndarray]:
    """A level as x `[*space.shape]`, uint8, and which cells have a tile, `[height, width]`.

    Args:
        level: Its lines.
        space: The tiles and their order.
    """
    numbers = {tile: number for number, tile in enumerate(space.tiles)}
    index = np.array([[numbers.get(tile, -1) for tile in line] for line in level])
    return (index == np.arange(len(numbers))[:, None, None]).astype(np.uint8), index >= 0
