"""New levels, and how many can be played."""

import csv
import json

import pytest
import torch

from helpers import LEVELS
from vaekit.refusal import Refusal
from vaekit.tasks.play import nearest, play
from vaekit.tasks.shared.context import open_run

from .conftest import train

LINES = [  # 8x8; a playable level, mirrored and moved at random
    "........",
    "..G.....",
    ".bbb....",
    "........",
    ".....G..",
    "...bbbb.",
    "M.......",
    "bbbbbbbb",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Forty levels that differ in where the gold on the floor lies, which all can be played."""
    folder = tmp_path_factory.mktemp("levels")
    (folder / "tiles.json").write_text(json.dumps({"tiles": LEVELS.tiles}))
    for number in range(40):
        lines = [line.replace("G", ".") for line in LINES]
        at = 1 + number % 7
        lines[6] = lines[6][:at] + "G" + lines[6][at + 1 :]
        (folder / f"{number:02}.txt").write_text("\n".join(lines))
    data = (
        "data=levels",
        f"data.path={folder}",
        "trainer.max_epochs=30",
        "optimizer.lr=1e-2",
        "evaluation.num_samples=2",
    )
    return train(folder / "run", *data)


@pytest.mark.long
@pytest.mark.parametrize("source", ["prior", "posterior"])
def test_levels_are_written_with_their_properties(run, tmp_path, source):
    torch.manual_seed(0)
    found = play(open_run(run, tmp_path, device="cpu"), n=12, tries=5, source=source)
    assert found["real"] == 1 and found["frequencies"] < 1
    assert found["first"] <= found["kept"] and 1 <= found["tries"] <= 5 and 0 <= found["differs"] < 0.2
    assert json.loads((tmp_path / "play.json").read_text()) == found
    with (tmp_path / "levels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["playable"]) for row in rows) == round(12 * found["kept"])
    assert rows[0]["nearest_training_level"].endswith(".txt")
    levels = [(tmp_path / "levels" / f"{number}.txt").read_text().split() for number in range(1, 13)]
    assert all("".join(level).count("M") == 1 for level in levels) and (tmp_path / "levels.png").is_file()


def test_the_nearest_level_may_be_mirrored():
    levels = torch.arange(12).reshape(2, 2, 3)
    number, differs = nearest(levels.flip(-1), torch.cat([levels[1:] + 1, levels]))
    assert number.tolist() == [1, 2] and differs.tolist() == [0, 0]


def test_data_that_are_not_a_game_are_refused(digits):
    with pytest.raises(Refusal, match="`spawn` and `pickupable`"):
        play(digits)
