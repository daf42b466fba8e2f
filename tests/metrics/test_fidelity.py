"""Similarities of tables in cases whose value is known."""

import numpy as np
import pytest
import torch

from vaekit.metrics.fidelity import column_shapes, pair_trends, two_sample_auc


def test_the_same_rows_in_another_order_are_the_same():
    random = np.random.default_rng(0)
    rows = {"a": random.normal(size=200), "b": random.integers(5, size=200), "c": random.normal(size=200)}
    order = random.permutation(200)
    same = {name: each[order] for name, each in rows.items()}
    assert set(column_shapes(rows, same).values()) == {1.0}
    assert pair_trends(rows, same) == pytest.approx({("a", "b"): 1.0, ("a", "c"): 1.0, ("b", "c"): 1.0})


def test_a_missing_cell_is_a_value():
    half = np.array([-np.inf, -np.inf, 1.0, 2.0])
    assert column_shapes({"a": np.array([1.0, 2.0])}, {"a": half}) == {"a": 0.5}
    assert pair_trends({"a": np.array([1.0, 2.0]), "b": np.array([0, 0])}, {"a": half, "b": np.zeros(4, int)}) == {
        ("a", "b"): 0.5
    }


def test_a_shift_of_numbers_is_the_kolmogorov_smirnov_statistic():
    x = np.arange(100.0)
    assert column_shapes({"a": x}, {"a": x + 25})["a"] == pytest.approx(0.75)


def test_pairs_that_lose_their_dependence_are_found():
    random = np.random.default_rng(0)
    x = random.normal(size=20_000)
    real, independent = {"x": x, "y": x}, {"x": x, "y": random.permutation(x)}
    assert min(column_shapes(real, independent).values()) == 1
    assert pair_trends(real, independent)["x", "y"] == pytest.approx(0.1, abs=0.02)  # of ten bins one each coincides


def test_rows_of_one_distribution_are_not_told_apart():
    torch.manual_seed(0)
    x = torch.randn(800, 3)
    assert 0.4 < two_sample_auc(x[:400], x[400:]) < 0.6
    assert two_sample_auc(x[:400], x[400:] * 3) > 0.8
