"""Mutual information and calibration, against known values."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from vaekit.metrics import information
from vaekit.metrics.calibration import Reliability
from vaekit.metrics.information import mutual_information


def channel(n, noise, seed=0):
    """N rows whose code is Gaussian about a Gaussian place: I = 1/2 log(1 + 1 / noise^2)."""
    torch.manual_seed(seed)
    q = Independent(Normal(torch.randn(n, 1), noise), 1)
    return q, q.sample()


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_a_gaussian_channel_has_its_capacity(noise):
    q, z = channel(4000, noise)
    assert mutual_information(q, z) == pytest.approx(0.5 * math.log(1 + noise**-2), abs=0.03)


def test_codes_that_identify_rows_have_information_log_n():
    q = Independent(Normal(100 * torch.arange(64.0)[:, None], 1.0), 1)
    assert mutual_information(q, q.sample()) == pytest.approx(math.log(64))


def test_codes_independent_of_the_row_have_no_mutual_information():
    q = Independent(Normal(torch.zeros(64, 2), 1.0), 1)
    assert mutual_information(q, q.sample()) == pytest.approx(0, abs=1e-6)


def test_chunks_change_nothing(monkeypatch):
    q, z = channel(100, 0.5)
    whole = mutual_information(q, z)
    monkeypatch.setattr(information, "CHUNK", 300)
    assert mutual_information(q, z) == pytest.approx(whole, rel=1e-5)


def test_probabilities_that_are_frequencies_have_no_error():
    torch.manual_seed(0)
    p = torch.rand(200_000)
    reliability = Reliability()
    for part in p.split(70_000):  # in any parts
        reliability.update(part, torch.rand_like(part) < part)
    found = reliability.compute()
    assert found["error"] < 0.01
    assert found["predicted"] == pytest.approx([0.05 + 0.1 * i for i in range(10)], abs=0.01)
    assert found["happened"] == pytest.approx(found["predicted"], abs=0.02)
    assert sum(found["share"]) == pytest.approx(1)


def test_too_much_confidence_is_an_error():
    reliability = Reliability()
    reliability.update(torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1, 0, 0, 0]))
    found = reliability.compute()
    assert (found["predicted"], found["happened"], found["share"]) == ([0, 1], [0, 0.5], [0.5, 0.5])
    assert found["error"] == pytest.approx(0.25)
