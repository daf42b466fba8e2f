"""The rules of movement, each on a level of its own."""

import pytest

from vaekit.metrics.playable import playable, reachable

TILES = {
    "B": ["solid", "ground"],
    "b": ["solid", "diggable", "ground"],
    ".": ["passable", "empty"],
    "-": ["passable", "climbable", "rope"],
    "#": ["passable", "climbable", "ladder"],
    "G": ["passable", "pickupable", "gold"],
    "E": ["damaging", "enemy"],
    "M": ["passable", "spawn"],
}


@pytest.mark.parametrize(
    ("level", "can"),
    [
        ("M..G", True),  # along the bottom of the level
        ("M.BG", False),  # a wall
        ("M.EG", True),  # an enemy moves
        ("M..\nBB.\n.GB", False),  # a fall, but then a wall
        ("M..\nBB.\nG..", True),  # a fall, and back to the left
        ("..G\nM..", False),  # no jump
        ("..#G\nM.#B", True),  # up a ladder, and off it
        ("..-G\nM.-B", False),  # no climbing up a rope
        ("M--G\nB..B", True),  # along a rope
        ("M..G\nB..B", False),  # without it, down
        ("M--.\nB...\nB.G.", True),  # a drop off the rope
        (".M.\nbbb\n.G.", True),  # a hole beside the feet
        (".M.\nBBB\n.G.", False),
        ("M\nb\nG", False),  # but none below them
        (".M.\nbbb\nbbb\nBGB", True),  # from a hole further down
        ("GMM.", False),  # two places to begin
        ("G...", False),
        ("M...", False),  # nothing to pick up
    ],
)
def test_maps_are_playable_or_not(level, can):
    assert playable(level.split("\n"), TILES) == can


def test_the_runner_stands_on_top_of_a_ladder():
    level = [".M..", "B#BB", ".#.."]
    assert {(0, 0), (0, 2), (0, 3), (1, 1), (2, 0), (2, 3)} <= reachable(level, TILES, {(0, 1)})
    assert (1, 0) not in reachable(level, TILES, {(0, 1)})
