"""Levels as text: read, cut into pieces, counted, and refused with file and line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from helpers import LEVELS
from vaekit import run_files, runs
from vaekit.data.levels import Levels
from vaekit.data.module import DataModule
from vaekit.refusal import Refusal

TILES = {"b": ["solid", "diggable"], ".": ["passable"], "G": ["pickupable"], "M": ["passable", "spawn"]}
RNG = np.random.default_rng(0)


def save(folder, levels, tiles=TILES):
    folder.mkdir(exist_ok=True)
    for number, level in enumerate(levels):
        (folder / f"{number}.txt").write_text(level)
    if tiles is not None:
        (folder / "tiles.json").write_text(json.dumps({"tiles": tiles}) if isinstance(tiles, dict) else tiles)
    return folder


def level(height, width):
    return "\n".join("".join(RNG.choice(list(TILES), width)) for _ in range(height)) + "\n"


def test_levels_become_one_hot_maps(tmp_path):
    source = Levels(save(tmp_path / "levels", ["b.\nMG\n", "..\nbb", "GG\nb."]))
    rows = source.load("train")
    assert source.space.shape == (4, 2, 2) and source.load("test") is None
    assert [[list(TILES)[tile] for tile in line] for line in rows.x[0].argmax(0)] == [["b", "."], ["M", "G"]]
    assert (rows.x.sum(1) == 1).all() and rows.condition is None and source.names == ["0.txt", "1.txt", "2.txt"]
    data = DataModule(source, validation=1, test=1, batch_size=1)
    source.space.check(data.sample("val", 1).x)
    assert data.space == source.space


def test_a_window_slides_over_levels_of_different_widths_and_tests_on_others(tmp_path):
    levels = [level(3, width) for width in (5, 7, 6, 9, 8, 5)]
    source = Levels(save(tmp_path / "levels", levels), window=5)
    train, test = source.load("train"), source.load("test")
    assert source.space.shape == (4, 3, 5)
    assert len(test) == 8 - 4 and len(train) == 1 + 3 + 2 + 5 + 1
    second = [line[1:6] for line in levels[4].splitlines()]
    assert [[list(TILES)[tile] for tile in line] for line in test.x[1].argmax(0)] == [list(line) for line in second]
    assert source.names[1:4] == ["1.txt, column 1", "1.txt, column 2", "1.txt, column 3"]
    assert len(source.names) == len(train)
    data = DataModule(source)
    held_out = data.in_order("val")
    assert {source.names[row].split(",")[0] for row in held_out.indices} == {"5.txt"}


def test_tiles_are_counted_for_a_condition(tmp_path):
    rows = Levels(save(tmp_path / "levels", ["bG\nGG", "..\nbM"]), count=["G", "b"]).load("train")
    assert rows.condition.tolist() == [[3, 1], [0, 1]]


def test_a_run_keeps_the_space_exactly():
    assert runs.read_space(yaml.load(run_files.describe({}, LEVELS), runs._Loader)) == LEVELS


def test_a_mirrored_level_is_a_level(tmp_path):
    data = DataModule(Levels(save(tmp_path / "levels", [level(8, 9) for _ in range(20)])), flip=True)
    torch.manual_seed(0)
    raw = data.in_order("train").gather(data.in_order("train").indices)
    turned = data.transform(raw, training=True).x
    data.space.check(turned)
    same = (turned == raw.x).all((1, 2, 3))
    assert 0 < same.sum() < len(same) and (turned[~same].flip(-1) == raw.x[~same]).all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"path": None}, r"data\.path is not set.*data\.path=FOLDER"),
        ({"path": "no/folder"}, "There is no folder .*no/folder"),
        ({"window": 0}, r"data\.window=0.*data\.window=28"),
        ({"count": ["x"]}, "data.count names 'x', which is not a tile; use one of b . G M"),
        ({"window": 3}, "0.txt is 2x2, expected 2 lines of at least 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path, settings, sentence):
    folder = save(tmp_path / "levels", ["b.\nMG", "..\nbb"])
    with pytest.raises(Refusal, match=sentence):
        Levels(**{"path": folder, **settings}).load("train")


@pytest.mark.parametrize(
    ("levels", "tiles", "sentence"),
    [
        (["b.\nbx"], TILES, "0.txt, line 2: got 'x', which is not a tile; use one of b . G M, or add it to tiles.json"),
        (["b.\nb"], TILES, "0.txt, line 2: got 1 characters, expected 2 as in line 1"),
        (["b.\n\nb."], TILES, "0.txt, line 2: got 0 characters"),
        (["b.", ""], TILES, "1.txt is empty"),
        (["b.", "b.."], TILES, "1.txt is 1x3, the first level 1x2; .*data.window=2"),
        ([], TILES, "There are no levels"),
        (["b."], None, "There is no file .*tiles.json"),
        (["b."], "{", "Cannot read .*tiles.json"),
        (["b."], {"bb": ["solid"], ".": []}, "tiles.json: the tile 'bb' is not one character"),
        (["b."], {"b": ["solid"]}, "tiles.json has 1 tiles"),
        (
            ["b."],
            {"b": "solid", ".": ["passable"]},
            "tiles.json: the tile 'b' is not one character with a list of words",
        ),
        (["b."], {"b": {"solid": 1}, ".": ["passable"]}, "the tile 'b' is not one character with a list of words"),
        (
            ["b.", "b.\nb."],
            TILES,
            r"1.txt is 2x2, the first level 1x2; give all levels one height, or remove this one\.$",
        ),
        (["b\0"], TILES, "0.txt, line 1: it holds a zero byte"),
    ],
)
def test_files_that_are_not_levels_are_refused(tmp_path, levels, tiles, sentence):
    with pytest.raises(Refusal, match=sentence):
        Levels(save(tmp_path / "levels", levels, tiles)).load("train")


def test_level_files_of_other_systems_are_read_and_other_files_ignored(tmp_path):
    folder = save(tmp_path / "levels", ["b.\nMG"], "\ufeff" + json.dumps({"tiles": TILES}))
    (folder / "1.TXT").write_bytes("\ufeffb.\r\nMG\r\n\r\n".encode())
    (folder / "2.txt").write_bytes("b.\nMG".encode("utf-16"))
    (folder / "._0.txt").write_bytes(b"\0")
    (folder / "sub.txt").mkdir()
    (folder / "sub.txt" / "3.txt").write_text("notes")
    os.mkfifo(folder / "pipe.txt")
    rows = Levels(folder).load("train")
    assert len(rows) == 3 and (rows.x == rows.x[0]).all()


def test_tiles_are_not_gray(tmp_path):
    source = Levels(save(tmp_path / "levels", ["b.\nMG", "..\nbb"]))
    for wrong in ({"binarize": "dynamic"}, {"dequantize": True}, {"shift": 1}):
        with pytest.raises(Refusal, match=r"cannot be binarized.*data\.binarize=none"):
            DataModule(source, **wrong)


@pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA names no folder of real data")
def test_real_levels():
    games = Path(os.environ["VAEKIT_DATA"]) / "VGLC"
    assert Levels(games / "lode_runner").load("train").x.shape == (150, 8, 22, 32)
    mario = Levels(games / "super_mario_bros", window=28)
    assert mario.space.shape == (13, 14, 28) and len(mario.load("train")) + len(mario.load("test")) == 2518
    with pytest.raises(Refusal, match=r"is 14x.*data\.window="):
        Levels(games / "super_mario_bros").load("train")
