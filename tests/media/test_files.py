"""Files that a user brings, into the space of the run."""

import os

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.media.medium import medium
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real

GRAY = Image((1, 4, 6))


def read_one(path, space):
    return medium(space).one(path)


@pytest.fixture
def file(tmp_path):
    """Saves an array under a name; pixels to an image file, anything else by numpy."""

    def save(name, x):
        path = tmp_path / name
        if path.suffix == ".npz":
            np.savez(path, **x)
        elif path.suffix == ".npy":
            np.save(path, x)
        else:
            path.parent.mkdir(exist_ok=True)
            PIL.Image.fromarray(np.asarray(x, np.uint8)).save(path)
        return path

    return save


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Image((1, 1, 4)), [0, 127 / 255, 128 / 255, 1]),
        (Image((1, 1, 4), bins=17), [0, 8 / 16, 8 / 16, 1]),
        (Image((1, 1, 4), bins=2), [0.0, 0.0, 1.0, 1.0]),
        (Image((1, 1, 4), dequantized=True), [0.5 / 256, 127.5 / 256, 128.5 / 256, 255.5 / 256]),
        (Image((1, 1, 4), bins=None), [0, 127 / 255, 128 / 255, 1]),
    ],
)
def test_gray_values_reach_every_space(file, space, expected):
    pixels = np.array([[0, 127, 128, 255]])
    for path in (file("one.png", pixels), file("one.npy", pixels[None, None].astype(np.uint8))):
        x = read_one(path, space)
        assert torch.allclose(x, torch.tensor(expected).reshape(1, 1, 1, 4))
        space.check(x)


def test_floats_are_rounded_to_the_levels(file):
    x = np.array([0.2, 0.5, 0.7]).reshape(1, 1, 1, 3)
    assert read_one(file("x.npy", x), Image((1, 1, 3), bins=2)).flatten().tolist() == [0, 1, 1]
    assert read_one(file("x.npy", x), Image((1, 1, 3), dequantized=True)).flatten().tolist() == pytest.approx(x.ravel())


def test_an_image_is_resized_and_cropped_at_the_center(file):
    wide = np.zeros((8, 40))
    wide[:, 14:26] = 255
    assert read_one(file("wide.png", wide), GRAY)[..., 1:-1].min() == 1
    wide[:, 14:26] = 0
    wide[:, [0, -1]] = 255
    assert read_one(file("wide.png", wide), GRAY).max() == 0


def test_colors_follow_the_run(file):
    red = np.zeros((4, 6, 3))
    red[..., 0] = 255
    path = file("red.png", red)
    assert read_one(path, Image((3, 4, 6))).mean((0, 2, 3)).tolist() == [1, 0, 0]
    assert read_one(path, GRAY).mean() == pytest.approx(76 / 255)


def test_a_folder_is_read_in_order_with_its_sub_folders(file, tmp_path):
    for level, name in enumerate(["a.png", "b/c.PNG", "d.bmp"]):
        file(name, np.full((4, 6), level))
    (tmp_path / "notes.txt").write_text("no image")
    names, read = medium(GRAY).find(tmp_path)
    assert names == ["a.png", "b/c.PNG", "d.bmp"]
    assert (read(slice(1, 3)).x[:, 0, 0, 0] * 255).tolist() == [1, 2]


def test_arrays_by_name(file):
    x = np.zeros((2, 3))
    for arrays in ({"anything": x}, {"x": x, "label": np.zeros(2)}):
        names, read = medium(Real((3,))).find(file("rows.npz", arrays))
        assert list(names) == [0, 1]
        assert read(slice(None)).x.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "x", "says"),
    [
        ("rows.npy", np.zeros((2, 1, 4, 5)), r"expected numbers of shape \[N, 1, 4, 6\]; reshape"),
        ("rows.npy", np.zeros((1, 4, 6)), "reshape"),
        ("rows.npy", np.zeros((0, 1, 4, 6)), "reshape"),
        ("rows.npy", np.full((2, 1, 4, 6), "a"), "expected numbers"),
        ("rows.npy", np.full((2, 1, 4, 6), None), "save it again by numpy.savez"),
        ("rows.npz", {"one": np.zeros(1), "two": np.zeros(1)}, "expected numbers called x"),
        ("rows.npy", np.full((2, 1, 4, 6), np.nan), "rows.npy: Got NaN .* drop those rows"),
        ("rows.npy", np.full((2, 1, 4, 6), np.inf), "drop those rows"),
        ("rows.npy", np.full((2, 1, 4, 6), 7), "expected 0 to 1; divide"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(file, name, x, says):
    path = file(name, x)
    with pytest.raises(Refusal, match=says):
        medium(GRAY).find(path)[1](slice(None))


@pytest.mark.parametrize("name", ["torn.png", "torn.npy", "torn.npz", "notes.txt"])
def test_files_that_cannot_be_read_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x89PNG and no more")
    with pytest.raises(Refusal, match=rf"Cannot read .*{name}.* save it again"):
        read_one(tmp_path / name, GRAY)


def test_a_torn_image_in_a_folder_is_skipped_by_name_as_in_training(file, tmp_path, caplog):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 6))
    whole = [file(name, each) for name, each in zip(["a.png", "b.png", "c.png"], pixels, strict=True)]
    whole[1].write_bytes(whole[1].read_bytes()[:60])
    names, read = medium(GRAY).find(tmp_path)
    assert names == ["a.png", "c.png"] and f"Skipped 1 of 3 images that cannot be read:\n{whole[1]}" in caplog.text
    np.testing.assert_allclose(read(slice(None)).x[:, 0] * 255, pixels[[0, 2]], atol=1e-4)
    assert [name for name, _ in medium(GRAY).whole(tmp_path)] == names
    for each in whole:
        each.write_bytes(each.read_bytes()[:60])
    with pytest.raises(Refusal, match=r"None of the 3 images can be read \(.*a.png: .*by task.input"):
        medium(GRAY).find(tmp_path)


def test_nothing_to_read_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"no file or folder .*; name an existing one"):
        medium(GRAY).find(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(Refusal, match=r"no file or folder .*pipe.npy; name an existing one"):
        medium(GRAY).find(tmp_path / "pipe.npy")
    with pytest.raises(Refusal, match=r"no images .* name another folder"):
        medium(GRAY).find(tmp_path)


def test_more_than_one_example_is_refused_where_one_is_meant(file):
    with pytest.raises(Refusal, match="holds 2 examples, expected one; save that example"):
        read_one(file("rows.npy", np.zeros((2, 1, 4, 6))), GRAY)
