import numpy as np
import pytest

import vaekit  # noqa: F401  (before torchvision)
from vaekit.data.source import Rows


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    """Every test builds its own cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VAEKIT_CACHE", str(folder))
    return folder


class Memory:
    """A source in memory. Pixel (0, 0, 0) of an image, and the label, are the row's number."""

    name = "memory"

    def __init__(self, space, train, test=None, mask=None):
        self.space, self.rows = space, {"train": Rows(train, np.arange(len(train)), mask), "test": None}
        if test is not None:
            self.rows["test"] = Rows(test, 10_000 + np.arange(len(test)))

    def load(self, split):
        return self.rows[split]


@pytest.fixture
def memory():
    return Memory
