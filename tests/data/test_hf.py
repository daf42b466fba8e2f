"""Data sets as the package `datasets` holds them."""

import io

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.data.audio import read
from vaekit.data.hf import HuggingFace
from vaekit.refusal import Refusal
from vaekit.spaces import Audio, Image, Table, Text

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
    labeled = HuggingFace(str(folder), column="*", label="town")
    assert labeled.classes() == {"Bonn": 0, "Kiel": 1, "Ulm": 2}


def test_a_validation_split_is_that_of_training(tmp_path):
    numbers = datasets.Dataset.from_dict({"a": np.arange(12) + 0.5, "b": TOWNS})
    parts = {"train": range(6), "validation": range(6, 8), "test": range(8, 12)}
    whole = datasets.DatasetDict({name: numbers.select(rows) for name, rows in parts.items()})
    whole.save_to_disk(tmp_path / "parts")
    source = HuggingFace(str(tmp_path / "parts"))
    assert source.kind == "table"
    train = source.load("train")
    assert (len(train), train.validation, len(source.load("test"))) == (8, 2, 4)
    assert source.space.decode(torch.from_numpy(train.x))[1] == TOWNS[:8]
    assert HuggingFace(str(tmp_path / "parts"), validation_split=None).load("train").validation is None
    alone = HuggingFace(str(tmp_path / "parts"), split="validation").load("train")
    assert (len(alone), alone.validation) == (2, None)


def wave(number):
    """A WAV file of a tone."""
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(5120) * 0.02 * (number + 1)), 8000, format="WAV")
    return file.getvalue()


def sounds(values, **columns):
    """A data set of sounds, without the package that `datasets` encodes them by."""
    own = {"clip": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}
    features = datasets.Features(own | dict.fromkeys(columns, datasets.Value("int64")))
    rows = {"clip": [{"bytes": each, "path": path} for each, path in values], **columns}
    return datasets.Dataset.from_dict(rows, features=features).cast_column("clip", datasets.Audio())


def test_sounds_with_classes(tmp_path):
    whole = sounds([(wave(i), "b/c.wav" if i else None) for i in range(12)], label=[*range(11, 0, -1), None])
    broken = sounds([(b"no sound", "d.flac")], label=[5])
    parts = datasets.DatasetDict(train=datasets.concatenate_datasets([broken, whole]), test=whole)
    parts.save_to_disk(tmp_path / "sounds")
    source = HuggingFace(str(tmp_path / "sounds"))
    assert (source.kind, source.space) == ("audio", Audio((1, 40, 40), rate=8000, hop=128))
    train, test = source.load("train"), source.load("test")
    assert train.label.tolist() == test.label.tolist() == [*range(11, 0, -1), -1], "without the broken one"
    assert np.array_equal(train.x, test.x)
    for number in range(12):
        (tmp_path / "alone.wav").write_bytes(wave(number))
        assert np.allclose(train.x[number], read(tmp_path / "alone.wav", source.space)[0])
    waves = HuggingFace(str(tmp_path / "sounds"), representation="wave", seconds=0.1)
    assert waves.load("test").x.shape == (12, 1, 1, 800)


def test_classes_that_are_text(tmp_path):
    rows = {"image": [PIL.Image.fromarray(x) for x in PIXELS], "label": [*TOWNS[:11], None]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "towns")
    source = HuggingFace(str(tmp_path / "towns"))
    assert source.classes() == {"Bonn": 0, "Kiel": 1, "Ulm": 2}
    assert source.load("train").label.tolist() == [2, 0, 1] * 3 + [2, 0, -1]


@pytest.mark.parametrize("kind", ["image", "audio", "table"])
def test_the_first_rows_are_streamed_into_the_cache(tmp_path, kind, monkeypatch):
    images = {"a": [PIL.Image.fromarray(x) for x in PIXELS]}
    rows = {
        "image": lambda: datasets.Dataset.from_dict(images, features=datasets.Features({"a": datasets.Image()})),
        "audio": lambda: sounds([(wave(i), None) for i in range(12)]),
        "table": lambda: datasets.Dataset.from_dict({"a": np.arange(12) + 0.5}),
    }[kind]()
    (tmp_path / "files").mkdir()
    rows.to_parquet(str(tmp_path / "files" / "train.parquet"))
    whole = HuggingFace(str(tmp_path / "files")).load("train")
    first = HuggingFace(str(tmp_path / "files"), rows=5)
    assert first.kind == kind
    if kind != "table":  # whose numbers depend on all rows
        assert np.array_equal(first.load("train").x, whole.x[:5])
    assert len(first.load("train")) == 5
    monkeypatch.setattr(datasets.Dataset, "from_generator", None)
    assert len(HuggingFace(str(tmp_path / "files"), rows=5).load("train")) == 5, "of the cache"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rows": 0}, "rows=0 must be at least 1"),
        ({"label": "image"}, "data.label=image is not in .*or holds no classes"),
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
