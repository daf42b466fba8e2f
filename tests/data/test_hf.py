"""Data sets as the package `datasets` holds them."""

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.data.hf import HuggingFace
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Table, Text

datasets = pytest.importorskip("datasets")
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)
TOWNS = ["Ulm", "Bonn", "Kiel"] * 4


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("VAEKIT_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


@pytest.fixture
def saved(tmp_path):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "note": datasets.Value("string"),
        }
    )
    rows = {"image": [PIL.Image.fromarray(x) for x in PIXELS], "label": [0, 1] * 6, "note": ["A cat."] * 12}
    whole = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(train=whole.select(range(8)), test=whole.select(range(8, 12))).save_to_disk(tmp_path / "saved")
    return str(tmp_path / "saved")


def test_images_with_their_splits_and_classes(saved):
    source = HuggingFace(saved)
    assert source.space == Image((1, 6, 5))
    assert source.classes() == {"cat": 0, "dog": 1}
    train, test = source.load("train"), source.load("test")
    assert np.array_equal(train.x[:, 0], PIXELS[:8])
    assert np.array_equal(test.x[:, 0], PIXELS[8:])
    assert train.label.tolist() == [0, 1] * 4
    resized = HuggingFace(saved, image_size=4, channels=3)
    assert resized.load("train").x.shape == (8, 3, 4, 4)
    assert HuggingFace(saved, test_split=None).load("test") is None


def test_sentences(saved):
    source = HuggingFace(saved, column="note", min_count=1)
    assert isinstance(source.space, Text)
    assert len(source.load("train")) == 8
    assert source.space.decode(torch.from_numpy(np.asarray(source.load("test").x[:1]))) == ["A cat."]


def test_a_table_of_parquet_files(tmp_path):
    folder = tmp_path / "table"
    folder.mkdir()
    datasets.Dataset.from_dict({"town": TOWNS, "size": np.arange(12) * 1.5}).to_parquet(str(folder / "train.parquet"))
    source = HuggingFace(str(folder), column="*")
    assert isinstance(source.space, Table)
    assert source.space.names == ["town", "size"]
    assert len(source.load("train")) == 12
    assert source.load("test") is None
    labelled = HuggingFace(str(folder), column="*", label="town")
    assert labelled.classes() == {"Bonn": 0, "Kiel": 1, "Ulm": 2}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "validation"}, "Try data.split=train"),
        ({"column": "label"}, "holds neither images nor text"),
        ({"label": "breed"}, "data.label=breed is not in"),
        ({"image_size": [4, 4, 4]}, r"data\.image_size=64"),
        ({"channels": 2}, r"data\.channels=3"),
        ({"name": "nowhere/at-all"}, "cannot be opened"),
        ({"name": None}, "data.name=ylecun/mnist"),
    ],
)
def test_refusals(saved, options, says):
    with pytest.raises(Refusal, match=says):
        HuggingFace(**{"name": saved} | options).load("train")


def test_images_that_differ_in_size(saved, tmp_path):
    rows = {"image": [PIL.Image.new("L", (3, 3)), PIL.Image.new("L", (4, 4))]}
    datasets.Dataset.from_dict(rows, features=datasets.Features({"image": datasets.Image()})).save_to_disk(
        tmp_path / "odd"
    )
    with pytest.raises(Refusal, match=r"Try data\.image_size=64"):
        HuggingFace(str(tmp_path / "odd")).load("train")
