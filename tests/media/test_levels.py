"""Game levels: text, partial levels, and pictures."""

import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.legend import Legend

from helpers import LEVELS, drawn, examples
from vaekit.data.levels import Levels as Source
from vaekit.media.figures import Headings
from vaekit.media.levels import rounded
from vaekit.media.medium import Imputed, medium
from vaekit.refusal import Refusal
from vaekit.spaces import Levels


def test_written_files_are_read_back(tmp_path):
    x = examples(LEVELS, 3).x
    medium(LEVELS).write(tmp_path / "levels", x, 2)
    names, read = medium(LEVELS).find(tmp_path / "levels")
    assert names == ["1.txt", "2.txt", "3.txt"]
    assert torch.equal(read(slice(None)).x, x) and read(slice(2)).mask is None
    with PIL.Image.open(tmp_path / "levels.png") as picture:
        assert picture.height == 6 * 19 < picture.width, "two in a row, lines between them, and a key at the right"


def test_a_picture_has_a_key_of_its_tiles(tmp_path, monkeypatch):
    figures = drawn(monkeypatch)
    lines = ["b" * 8] * 7 + ["b?G?MMMM"]
    medium(LEVELS).draw(tmp_path / "half", [lines], 1, Headings())
    (legend,) = figures[0].findobj(Legend)
    patches = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
    key = dict(zip([text.get_text() for text in legend.get_texts()], patches, strict=True))
    with PIL.Image.open(tmp_path / "half.png") as picture:
        last = [to_hex(np.divide(picture.getpixel((9 + 6 * column, 9 + 6 * 7))[:3], 255)) for column in range(8)]
    expected = dict(zip("b?G?M", last, strict=False))
    names = {"b": "diggable: 'b'", "?": "unknown: '?'", "G": "pickupable: 'G'", "M": "spawn: 'M'"}
    assert key == {names[tile]: color for tile, color in expected.items()}, "passable: '.' does not occur"


def test_a_partial_level_has_unknown_cells(tmp_path):
    shown = medium(LEVELS)
    lines = ["b" * 8] * 7 + ["b?G?MMMM"]
    (tmp_path / "half.txt").write_text("\n".join(lines))
    batch = shown.read_incomplete(tmp_path / "half.txt")
    x, known = batch.x, batch.mask.bool()
    assert known.sum() == 4 * 62 and (x.sum(1) == known[:, 0]).all()
    assert shown.text(x[0]) == lines
    mean = torch.where(known, x, torch.tensor([0.9, 0.02, 0.04, 0.04])[None, :, None, None])
    shown.write_imputed(tmp_path, Imputed(torch.where(known, x, torch.nan), mean, mean[None]))
    assert (tmp_path / "imputed" / "1.txt").read_text().split() == [*lines[:7], "bbGbMMMM"]
    assert (tmp_path / "draw_1" / "1.txt").is_file() and (tmp_path / "imputed.png").is_file()


def test_another_character_is_unknown_where_that_one_is_a_tile():
    mario = Levels((2, 1, 2), tiles={"?": ["solid"], "-": ["passable"]})
    assert medium(mario).text(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])) == ["?_"]


def test_tiles_are_as_many_as_expected():
    torch.manual_seed(0)
    p = torch.randn(5, 9, 11).mul(2).softmax(0)
    counts = rounded(p).flatten().bincount(minlength=5)
    assert counts.sum() == 99 and (counts - p.sum((1, 2))).abs().max() < 1
    x = examples(LEVELS, 1).x[0]
    assert torch.equal(rounded(x), x.argmax(0))
    spawn = torch.full((1, 3, 4), 1 / 12)
    spawn[0, 1, 2] = 0.2
    assert (rounded(torch.cat([1 - spawn, spawn])) == 1).nonzero().tolist() == [[1, 2]], "one, where it is likeliest"


def test_a_data_set_is_read_again_as_it_was_written(tmp_path):
    x = examples(LEVELS, 12).x
    medium(LEVELS).set_writers["levels"](tmp_path, x.numpy(), None, {})
    source = Source(tmp_path / "levels")
    assert source.space == LEVELS and np.array_equal(source.load("train").x, x)


def test_files_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "small.txt").write_text("b.\nb.")
    with pytest.raises(Refusal, match=r"small\.txt is 2x2, but the model's levels are 8x8"):
        medium(LEVELS).one(tmp_path / "small.txt")
    np.save(tmp_path / "x.npy", np.full((1, 4, 8, 8), 0.5))
    with pytest.raises(Refusal, match="Got probabilities of tiles"):
        medium(LEVELS).one(tmp_path / "x.npy")
