"""What tasks write goes to the disk in batches."""

import weakref

import numpy as np
import torch


def test_a_stream_does_not_keep_batches_and_returns_mapped_arrays(digits):
    alive = []

    def batches():
        for number in range(10):
            x = torch.full((3, 1, 8, 8), float(number))
            alive.append(weakref.ref(x))
            yield {"x": x, "row": torch.arange(3) + 3 * number}
            del x
            assert sum(each() is not None for each in alive) <= 1

    arrays = digits.stream("rows", 30, batches(), whole=torch.eye(2))
    with np.load(digits.out / "rows.npz") as held:
        assert {key: held[key].dtype.name for key in held} == {"x": "float32", "row": "int64", "whole": "float32"}
        assert np.array_equal(held["x"][:, 0, 0, 0], np.repeat(np.arange(10), 3))
        assert np.array_equal(held["row"], np.arange(30)) and np.array_equal(held["whole"], np.eye(2))
        assert list(arrays) == ["x", "row"]
        assert all(np.array_equal(array, held[key]) for key, array in arrays.items())
    assert [file.name for file in digits.out.iterdir()] == ["rows.npz"]


def test_channels_last_are_written_in_their_own_order(digits):
    x = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5).to(memory_format=torch.channels_last)
    digits.stream("rows", 2, [{"x": x}])
    assert np.array_equal(np.load(digits.out / "rows.npz")["x"], x)
