"""Whether a level of a platform game can be played: a search for paths over the properties of its tiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

Cell = tuple[int, int]
Properties = Mapping[str, Sequence[str]]


def playable(level: Sequence[str], tiles: Properties) -> bool:
    """Whether a level, rows of characters, has one `spawn` from which each of its tiles to pick up is reached.

    tiles: the properties of each character. What is to be picked up is `pickupable`; a level without is not playable.
    """
    starts, goals = of(level, tiles, "spawn"), of(level, tiles, "pickupable")
    return len(starts) == 1 and len(goals) > 0 and goals <= reachable(level, tiles, starts)


def of(level: Sequence[str], tiles: Properties, wanted: str) -> set[Cell]:
    """The cells of a level whose tile has a property."""
    return {(i, j) for i, row in enumerate(level) for j, tile in enumerate(row) if wanted in tiles[tile]}


def reachable(level: Sequence[str], tiles: Properties, starts: set[Cell]) -> set[Cell]:
    """The cells (row, column), row 0 at the top, that a runner reaches from `starts` by the rules of Lode Runner.

    Cells that are not `solid` are free, enemies' among them, who move. The runner stands on what is solid, on top of a
    ladder and on the bottom of the level; hangs on a `rope` or a ladder, which are the `climbable` tiles; and falls
    elsewhere. From where it does not fall it goes to the left and to the right; on a ladder also up; and down wherever
    the cell below is free. It does not jump. A `diggable` tile beside its feet, below a free cell, can be dug: the hole
    is a free cell, from whose bottom it may dig on. No time passes: holes stay open, and enemies are not in the way.
    """
    solid, ladder, rope, diggable = (
        {cell for cell in of(level, tiles, name) if name != "climbable" or "rope" not in tiles[level[cell[0]][cell[1]]]}
        for name in ("solid", "climbable", "rope", "diggable")
    )
    height, width = len(level), len(level[0])

    def free(cell: Cell) -> bool:
        return 0 <= cell[0] < height and 0 <= cell[1] < width and cell not in solid

    def steps(cell: Cell) -> Iterator[Cell]:
        i, j = cell
        below = (i + 1, j)
        if free(below) or (cell in solid and below in diggable):  # a hole is a solid cell that was dug
            yield below
        if not (cell in ladder or cell in rope or not free(below) or below in ladder):
            return  # it falls
        for beside in ((i, j - 1), (i, j + 1)):
            if free(beside):
                yield beside
                if (hole := (i + 1, beside[1])) in diggable:
                    yield hole
        if cell in ladder and free((i - 1, j)):
            yield i - 1, j

    seen, waiting = set(starts), deque(starts)
    while waiting:
        for cell in steps(waiting.popleft()):
            if cell not in seen:
                seen.add(cell)
                waiting.append(cell)
    return seen
