"""Attacks against their definitions: brute force, known distributions, and planted copies."""

import math

import pytest
import torch

from vaekit.metrics.membership import attack, scores


def test_the_auc_is_the_fraction_of_pairs_in_order():
    torch.manual_seed(0)
    members, others = torch.randint(5, (40,)).float(), torch.randint(4, (30,)).float()
    pairs = (members[:, None] > others).double() + 0.5 * (members[:, None] == others)
    assert attack(members, others).auc == pytest.approx(pairs.mean().item())
    assert attack(others, members).auc == pytest.approx(1 - pairs.mean().item())


def test_the_interval_holds_the_true_auc_as_often_as_it_says():
    torch.manual_seed(0)
    true = 0.5 * (1 + math.erf(1 / 2))  # of N(1, 1) against N(0, 1): the normal distribution function at 1/sqrt(2)
    found = [attack(torch.randn(60) + 1, torch.randn(80), 0.9) for _ in range(400)]
    inside = sum(each.low <= true <= each.high for each in found) / 400
    assert 0.85 < inside < 0.95


def test_hits_are_counted_above_one_percent_of_the_others():
    assert attack(torch.tensor([200.0, 98.0, 100.0, -1.0]), torch.arange(101.0)).hits == 0.5


@pytest.fixture(scope="module")
def rows():
    torch.manual_seed(0)
    return torch.randn(4, 300, 4)  # members, others, reference, and draws of the same population


@pytest.mark.parametrize("name", ["distance", "density", "classifier"])
def test_copies_of_the_members_are_caught(rows, name):
    members, others, reference, _ = rows
    found = scores(torch.cat([members, others]), members + 1e-3, reference)[name]
    assert attack(found[:300], found[300:]).low > 0.8


@pytest.mark.parametrize("name", ["distance", "density", "classifier"])
def test_independent_draws_reveal_nothing(rows, name):
    members, others, reference, synthetic = rows
    found = attack(*scores(torch.cat([members, others]), synthetic, reference)[name].split(300))
    assert found.low < 0.5 < found.high


def test_exact_copies_have_finite_scores(rows):
    members, others, reference, _ = rows
    found = scores(torch.cat([members, others]), members[:1].expand(50, -1), reference)
    assert all(torch.isfinite(each).all() for each in found.values())
    assert found["density"].argmax() == 0
