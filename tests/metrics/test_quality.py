"""Distances between sets of features, on sets whose distances are known."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from vaekit.metrics import quality
from vaekit.metrics.quality import copy_fraction, frechet_distance, nearest_distance, precision_recall


@pytest.fixture
def rows():
    return torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))


def test_frechet_distance_of_gaussians_is_its_closed_form(rows):
    other = rows.flip(0) * 2 + 1
    a, b = np.cov(rows.numpy(), rowvar=False), np.cov(other.numpy(), rowvar=False)
    expected = (rows.mean(0) - other.mean(0)).square().sum().item() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(rows, other) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(rows, rows + 3) == pytest.approx(4 * 3**2, rel=1e-4)
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-6)


def test_precision_and_recall_of_one_distribution_are_high_and_of_distant_ones_0(rows):
    first, second = rows.chunk(2)
    assert min(precision_recall(first, second)) > 0.85
    assert precision_recall(first, second + 100) == (0, 0)


def test_samples_from_one_region_have_high_precision_and_low_recall(rows):
    precision, recall = precision_recall(rows, 0.1 * rows.flip(0))
    assert precision > 0.95
    assert recall < 0.1


def test_recall_is_precision_the_other_way_round(rows):
    few, many = rows[:300], rows * 3
    assert precision_recall(few, many) == precision_recall(many, few)[::-1]


def test_the_ball_of_a_row_reaches_to_its_k_th_neighbor():
    line = torch.arange(10.0)[:, None]
    for inside, outside, k in ((-1.0, -1.1, 1), (-3.0, -3.1, 3)):
        assert precision_recall(line, torch.tensor([[inside], [outside]]), k)[0] == 0.5


def test_a_copy_is_at_distance_0_and_others_where_they_are():
    rows = torch.rand(3000, 784, generator=torch.manual_seed(0)) + 5000
    assert nearest_distance(rows[:50], rows).tolist() == [0.0] * 50
    ramp = torch.arange(5000.0, 5101.0)[:, None].expand(-1, 30)
    apart = nearest_distance(ramp + 0.5, ramp)
    assert torch.allclose(apart, torch.full_like(apart, 0.5 * 30**0.5), rtol=1e-6)
    assert nearest_distance(ramp[:-1] + 1, ramp[:1]).tolist() == pytest.approx([k * 30**0.5 for k in range(1, 101)])


def test_copies_count_and_other_ties_count_by_chance():
    to_train, to_test = torch.tensor([0.0, 0.0, 1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 2.0, 1.0, 3.0])
    assert copy_fraction(to_train, to_test, 0.8) == pytest.approx((1 + 1 + 1 + 0 + 0.8) / 5)
    rows = torch.randint(3, (500, 4), generator=torch.manual_seed(0)).float()  # with many equal rows
    train, test = rows[:400], rows[400:]
    assert copy_fraction(nearest_distance(train, train), nearest_distance(train, test), 0.8) == 1


def test_nearest_is_the_smallest_distance_in_any_chunks(rows, monkeypatch):
    expected = (rows[:50, None] - rows[None, 50:]).norm(dim=2).min(1).values
    assert torch.allclose(nearest_distance(rows[:50], rows[50:]), expected, atol=1e-3)
    monkeypatch.setattr(quality, "CHUNK", 1)
    assert torch.allclose(nearest_distance(rows[:50], rows[50:]), expected, atol=1e-3)
