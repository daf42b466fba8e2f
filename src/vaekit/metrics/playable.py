"""Whether a map of a platform game can be played: a path search over the properties of its tiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

Cell = tuple[int, int]
Properties = Mapping[str, Sequence[str]]


def playable(rows: Sequence[str], tiles: Properties) -> bool:
    """Whether a map has exactly one `spawn`, and each of its `pickupable` tiles can be reached from it.

    A map without a pickupable tile is not playable.

    Args:
        rows: The map, a string for each row, row 0 at the top.
        tiles: The properties of each character.

    Example:
        >>> from vaekit.metrics.playable import playable
        >>> tiles = {"M": ["spawn"], "G": ["pickupable"], "-": [], "B": ["solid"]}
        >>> playable(["M-G", "BBB"], tiles), playable(["MBG", "BBB"], tiles)
        (True, False)
    """
    starts, goals = cells_with(rows, tiles, "spawn"), cells_with(rows, tiles, "pickupable")
    return len(starts) == 1 and len(goals) > 0 and goals <= reachable(rows, tiles, starts)


def cells_with(rows: Sequence[str], tiles: Properties, name: str) -> set[Cell]:
    """The cells (row, column) whose tile has a property.

    Args:
        rows: The map, a string for each row, row 0 at the top.
        tiles: The properties of each character.
        name: The property.

    Example:
        >>> from vaekit.metrics.playable import cells_with
        >>> cells_with(["-B"], {"-": [], "B": ["solid"]}, "solid")
        {(0, 1)}
    """
    return {(i, j) for i, row in enumerate(rows) for j, tile in enumerate(row) if name in tiles[tile]}


def reachable(rows: Sequence[str], tiles: Properties, starts: set[Cell]) -> set[Cell]:
    """The cells (row, column) that a runner reaches by the rules of Lode Runner.

    Cells that are not `solid` are free, including those of enemies, which move. The runner stands on a solid cell, on
    top of a ladder and on the bottom of the map. It hangs on a `rope` or a ladder, which are the `climbable` tiles.
    Elsewhere it falls. If it does not fall, it moves left and right, up on a ladder, and down into a free cell. It does
    not jump. A `diggable` tile diagonally below, under a free cell, can be dug: the hole is a free cell, from whose
    bottom it may dig on. Time is ignored: holes stay open, and enemies do not block the way.

    Args:
        rows: The map, a string for each row, row 0 at the top.
        tiles: The properties of each character.
        starts: The cells to start from.

    Example:
        >>> from vaekit.metrics.playable import reachable
        >>> sorted(reachable(["-B-", "BBB"], {"-": [], "B": ["solid"]}, {(0, 0)}))
        [(0, 0)]
    """
    solid, ladder, rope, diggable = (
        {
            cell
            for cell in cells_with(rows, tiles, name)
            if name != "climbable" or "rope" not in tiles[rows[cell[0]][cell[1]]]
        }
        for name in ("solid", "climbable", "rope", "diggable")
    )
    height, width = len(rows), len(rows[0])

    def free(cell: Cell) -> bool:
        return 0 <= cell[0] < height and 0 <= cell[1] < width and cell not in solid

    def steps(cell: Cell) -> Iterator[Cell]:
        i, j = cell
        below = (i + 1, j)
        if free(below) or (cell in solid and below in diggable):  # a hole is a solid cell that was dug
            yield below
        if not (cell in ladder or cell in rope or not free(below) or below in ladder):
            return  # it falls
        for side in ((i, j - 1), (i, j + 1)):
            if free(side):
                yield side
                if (hole := (i + 1, side[1])) in diggable:
                    yield hole
        if cell in ladder and free((i - 1, j)):
            yield i - 1, j

    visited, queue = set(starts), deque(starts)
    while queue:
        for cell in steps(queue.popleft()):
            if cell not in visited:
                visited.add(cell)
                queue.append(cell)
    return visited
