import pickle
import socket
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import scipy.io
from PIL import Image as Picture

from vaekit.data.torchvision_set import SETS, TorchvisionSet
from vaekit.refusal import Refusal
from vaekit.spaces import Image

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test goes to the network, wherever it is run; torchvision's timeout is noted."""
    timeouts = []

    def refuse(*_, **__):
        timeouts.append(socket.getdefaulttimeout())
        raise urllib.error.URLError("offline")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return timeouts


@pytest.fixture
def unchecked(monkeypatch):
    """Stand-in files do not have the real ones' check sums."""
    for module in ("cifar", "omniglot", "svhn"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: True)


def write_idx(folder, name, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    header = b"".join(int(n).to_bytes(4, "big") for n in (0x803, *images.shape))
    (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = b"".join(int(n).to_bytes(4, "big") for n in (0x801, len(labels)))
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())


def idx(folder, train, test):
    arrays = {}
    for name, count in ((train, 6), (test, 4)):
        arrays[name] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8), RNG.integers(0, 10, count)
        write_idx(folder, name, *arrays[name])
    return arrays[train], arrays[test]


@pytest.mark.parametrize("name", SETS)
def test_space_is_known_without_files(name):
    space = TorchvisionSet(name, "nowhere").space
    assert space.bins == 256 and space.shape[0] == (3 if name in ("cifar10", "svhn") else 1)
    assert TorchvisionSet(name, "nowhere", image_size=40).space.shape == (space.shape[0], 40, 40)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_mnist_and_its_likes(name, folder, tmp_path):
    train, test = idx(tmp_path / folder / "raw", "train", "t10k")
    source = TorchvisionSet(name, tmp_path)
    for split, (images, labels) in (("train", train), ("test", test)):
        rows = source.load(split)
        assert np.array_equal(rows.x, images[:, None]) and np.array_equal(rows.label, labels)
        assert rows.x.shape[1:] == source.space.shape and rows.mask is None


def test_emnist_is_turned_upright(tmp_path):
    train, _ = idx(tmp_path / "EMNIST" / "raw", "emnist-balanced-train", "emnist-balanced-test")
    rows = TorchvisionSet("emnist", tmp_path).load("train")
    assert np.array_equal(rows.x, train[0].transpose(0, 2, 1)[:, None])


def test_cifar10_has_channels_first(tmp_path, unchecked):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    images = RNG.integers(0, 256, (10, 3, 32, 32), dtype=np.uint8)
    for i, name in enumerate([f"data_batch_{n}" for n in range(1, 6)]):
        part = {"data": images[2 * i : 2 * i + 2].reshape(2, -1), "labels": [2 * i, 2 * i + 1]}
        (folder / name).write_bytes(pickle.dumps(part))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    rows = TorchvisionSet("cifar10", tmp_path).load("train")
    assert np.array_equal(rows.x, images) and rows.label.tolist() == list(range(10))


def test_svhn(tmp_path, unchecked):
    images = RNG.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    file = {"X": images.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [2], [3], [9]])}
    scipy.io.savemat(tmp_path / "train_32x32.mat", file)
    rows = TorchvisionSet("svhn", tmp_path).load("train")
    assert np.array_equal(rows.x, images) and rows.label.tolist() == [0, 1, 2, 3, 9]


def test_omniglot_is_bright_on_black_and_resized(tmp_path, unchecked):
    (tmp_path / "omniglot-py").mkdir()
    (tmp_path / "omniglot-py" / "images_evaluation.zip").write_text("")
    for character in ("character01", "character02"):
        folder = tmp_path / "omniglot-py" / "images_evaluation" / "Alphabet" / character
        folder.mkdir(parents=True)
        paper = np.full((105, 105), 255, np.uint8)
        paper[45:60] = 0  # one stroke
        Picture.fromarray(paper).convert("1").save(folder / "0001_01.png")
    source = TorchvisionSet("omniglot", tmp_path, image_size=28)
    rows = source.load("test")
    assert rows.x.shape == (2, 1, 28, 28) and rows.x.dtype == np.uint8 and rows.label.tolist() == [0, 1]
    assert (rows.x[:, :, 13] == 255).all() and (rows.x[:, :, :8] == 0).all()
    assert abs(rows.x.mean() / 255 - 15 / 105) < 0.01  # resizing keeps the ink


def test_rows_are_cached_until_a_file_changes(tmp_path, monkeypatch):
    folder = tmp_path / "MNIST" / "raw"
    idx(folder, "train", "t10k")
    first = np.array(TorchvisionSet("mnist", tmp_path).load("train").x)
    with monkeypatch.context() as patch:
        patch.setattr(TorchvisionSet, "_open", None)
        assert np.array_equal(TorchvisionSet("mnist", tmp_path).load("train").x, first)
    write_idx(folder, "train", 255 - first[:5, 0], np.arange(5))
    assert np.array_equal(TorchvisionSet("mnist", tmp_path).load("train").x, 255 - first[:5])


@pytest.mark.parametrize("name", SETS)
def test_a_failed_download_says_what_to_do(name, tmp_path, offline):
    start = time.perf_counter()
    with pytest.raises(Refusal) as refusal:
        TorchvisionSet(name, tmp_path).load("train")
    said = str(refusal.value)
    assert time.perf_counter() - start < 10
    assert offline and set(offline) == {5} and socket.getdefaulttimeout() is None  # no waiting behind a firewall
    layout = tmp_path / SETS[name].files.format(SETS[name].splits[0])
    for part in (SETS[name].loader, f"not in {tmp_path} ", str(layout), "data.root=FOLDER", "data=digits"):
        assert part in said
    assert said.endswith(".") and ". " not in said and "\n" not in said


def test_refusals():
    with pytest.raises(Refusal, match="expected one of mnist"):
        TorchvisionSet("imagenet")
    with pytest.raises(Refusal, match=r"data\.image_size=28"):
        TorchvisionSet("mnist", image_size=0)
    assert TorchvisionSet("mnist").space == Image((1, 28, 28), bins=256)
