"""Files of images, of labels, and of both."""

import csv

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import PAIRS, examples
from vaekit.media.medium import medium
from vaekit.refusal import Refusal


def test_images_and_labels_are_drawn_and_the_labels_read_again(tmp_path):
    x = examples(PAIRS, 5).x
    medium(PAIRS).write(tmp_path / "samples", x, 3)
    with PIL.Image.open(tmp_path / "samples.png") as picture:
        assert picture.size == (3 * 58 + 2 + 8, 2 * (56 + 22) + 2 + 8), "captions below, a margin around"
    with (tmp_path / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows[:3]] == [str(int(each)) for each in PAIRS.split(x[:3])[1].argmax(-1)]
    assert rows[3] == {"label": "", "probability": ""} and rows[0]["probability"] == "1"


def test_a_file_of_labels_lacks_images(tmp_path):
    (tmp_path / "labels.csv").write_text("label\n3\n0\n")
    names, read = medium(PAIRS).find(tmp_path / "labels.csv")
    batch = read(slice(None))
    assert list(names) == [0, 1] and torch.equal(batch.x, PAIRS.pair(None, torch.tensor([3, 0])))
    batch = medium(PAIRS).read_incomplete(tmp_path / "labels.csv")
    x, known = batch.x, batch.mask.bool()
    assert torch.equal(known, PAIRS.per_value(torch.tensor([False, True])).expand(2, -1)) and (x[~known] == 0).all()


def test_an_image_lacks_its_label(tmp_path):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    PIL.Image.fromarray(pixels).save(tmp_path / "one.png")
    x = medium(PAIRS).one(tmp_path / "one.png")
    PAIRS.check(x)
    image, label, observed = PAIRS.split(x)
    assert torch.equal(image[0, 0], torch.from_numpy((pixels > 127).astype("float32")))
    assert (label == 0).all() and observed.tolist() == [[1, 0]]


def test_rows_as_they_are(tmp_path):
    x = examples(PAIRS, 4).x
    np.save(tmp_path / "rows.npy", x.numpy())
    names, read = medium(PAIRS).find(tmp_path / "rows.npy")
    assert torch.equal(read(slice(None)).x, x) and len(names) == 4
    assert torch.equal(read(slice(None)).mask, PAIRS.per_value(PAIRS.split(x)[2])) and read(slice(2)).mask is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label\n3\n12\n", "line 3: got the label '12', expected a whole number from 0 to 9"),
        ("label\nseven\n", "line 2: got the label 'seven'"),
        ("class\n3\n", "a column 'label'"),
        ("", "no rows with a column 'label'"),
    ],
)
def test_invalid_labels_are_refused_with_their_line(tmp_path, text, says):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(Refusal, match=says):
        medium(PAIRS).find(tmp_path / "labels.csv")
