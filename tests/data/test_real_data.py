"""The sources on real files, in the folder `VAEKIT_DATA`, if it is set."""

import os
from pathlib import Path

import numpy as np
import pytest

from vaekit.data.arrays import Arrays
from vaekit.data.image_folder import ImageFolder
from vaekit.data.module import DataModule
from vaekit.data.torchvision_set import TorchvisionSet


@pytest.fixture
def real():
    """A function from a path to where it lies in the real data; skips where it does not."""

    def real(path):
        root = os.environ.get("VAEKIT_DATA")
        if root is None or not Path(root, path).exists():
            pytest.skip(f"VAEKIT_DATA={root} has no {path}")
        return Path(root, path)

    return real


@pytest.mark.parametrize(
    ("name", "folder", "mean"), [("mnist", "MNIST", 0.1307), ("fashion_mnist", "FashionMNIST", 0.2860)]
)
def test_mnist(real, name, folder, mean):
    source = TorchvisionSet(name, real(folder).parent)
    train, test = source.load("train"), source.load("test")
    assert train.x.shape == (60_000, 1, 28, 28) and test.x.shape == (10_000, 1, 28, 28)
    assert train.x.mean() / 255 == pytest.approx(mean, abs=5e-5)
    low, high = (5421, 6742) if name == "mnist" else (6000, 6000)
    counts = np.bincount(train.label)
    assert len(counts) == 10 and (counts.min(), counts.max()) == (low, high)
    data = DataModule(source, binarize="dynamic", validation=5000)
    assert data.num_train == 55_000
    assert data.mean().mean().item() == pytest.approx(mean, abs=1e-3)
    assert sum(len(batch) for batch in data.train_dataloader()) == 55_000
    picked = data.in_order("test").sample(1000, data.seed).numpy()
    assert data.sample("test", 1000).x.mean().item() == pytest.approx(test.x[picked].mean() / 255, abs=1e-3)


def test_faces(real):
    source = ImageFolder(real("ATTFaces"), image_size=None, channels=1)
    rows = source.load("train")
    assert source.space.shape == (1, 112, 92) and rows.x.shape == (400, 1, 112, 92)
    assert np.bincount(rows.label).tolist() == [10] * 40


def test_photographs(real):
    folder = real("Caltech101_subset64")
    rows = ImageFolder(folder, image_size=32).load("train")
    assert rows.x.shape == (325, 3, 32, 32)
    assert np.bincount(rows.label).tolist() == [len(list(c.iterdir())) for c in sorted(folder.iterdir()) if c.is_dir()]


def test_medmnist(real):
    source = Arrays(real("MedMNIST/breastmnist.npz"))
    train, test = source.load("train"), source.load("test")
    assert train.x.shape == (624, 1, 28, 28) and test.x.shape == (156, 1, 28, 28)
    assert set(train.label) == {0, 1} and len(test.label) == 156
