"""Stylized facts of returns, and risks, against known values."""

import pytest
import torch
from torch.distributions import Normal

from vaekit.metrics.series import autocorrelation, correlation, drawdown, kurtosis, risk


def test_gaussian_returns_have_no_stylized_facts():
    torch.manual_seed(0)
    x = torch.randn(2000, 2, 20).double()
    assert kurtosis(x).abs().max() < 0.1 and autocorrelation(x.abs(), 5).abs().max() < 0.02
    assert (correlation(x) - torch.eye(2)).abs().max() < 0.02


def test_volatility_clusters_and_fat_tails_are_measured():
    torch.manual_seed(0)
    calm = torch.rand(2000, 1, 1) < 0.5
    x = torch.randn(2000, 2, 20) * torch.where(calm, 1.0, 5.0)
    assert kurtosis(x).min() > 1 and autocorrelation(x.abs(), 3).min() > 0.2
    walk = torch.randn(5000, 1, 21)
    found = autocorrelation(walk[..., 1:] + walk[..., :-1], 2)
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.0]]), atol=0.02, rtol=0)
    torch.testing.assert_close(correlation(torch.cat([walk, 2 * walk], 1)), torch.ones(2, 2))


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_risk_of_a_normal_gain(level):
    torch.manual_seed(0)
    gain = 0.1 + 2 * torch.randn(400_000).double()
    quantile = Normal(0.0, 1.0).icdf(torch.tensor(level))
    tail = Normal(0.0, 1.0).log_prob(quantile).exp() / (1 - level)
    assert risk(gain, level) == pytest.approx((float(2 * quantile) - 0.1, float(2 * tail) - 0.1), abs=0.03)


def test_risk_counts_by_weight():
    gain = torch.tensor([-10.0, -4.0, 1.0, 2.0])
    assert risk(gain, 0.75) == (10, 10)
    assert risk(gain, 0.5) == (4, 7)
    twice = torch.tensor([-10.0, -10.0, -4.0, 1.0, 1.0, 2.0])
    assert risk(gain, 0.6, torch.tensor([2.0, 1.0, 2.0, 1.0])) == pytest.approx(risk(twice, 0.6))


def test_drawdown_is_from_the_highest_point_before():
    value = torch.tensor([[1.0, 2.0, 1.5, 3.0, 1.2, 2.0], [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]])
    torch.testing.assert_close(drawdown(value), torch.tensor([0.6, 0.0]))
