"""The risks of anonymeter, where it is installed: `pip install --no-deps anonymeter numba polars`."""

import numpy as np
import pytest

from vaekit.tasks.shared.anonymity import risks

pytest.importorskip("anonymeter")


def columns(rng):
    a = rng.normal(size=400).round(3)
    b = np.where(rng.random(400) < 0.1, -np.inf, (a + rng.normal(size=400)).round(3))
    return {"a": a, "b": b, "c": rng.integers(3, size=400), "d": rng.integers(3, size=400)}


@pytest.mark.filterwarnings("ignore")
def test_copies_are_singled_out_and_linked_and_other_rows_are_not():
    train, test, other = (columns(np.random.default_rng(seed)) for seed in range(3))
    copied = risks(train, test, train, attacks=200, seed=0)
    assert copied["singling_out"].low > 0.8
    assert copied["linkability"].low > 0.5
    assert all(each.low == 0 for each in risks(train, test, other, attacks=200, seed=0).values())
