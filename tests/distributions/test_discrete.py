"""Distributions over gray values: masses sum to one and agree with moments, modes and draws."""

import pytest
import torch

from vaekit.distributions.bernoulli import Bernoulli
from vaekit.distributions.categorical_bins import CategoricalBins
from vaekit.distributions.discretized_logistic import DiscretizedLogistic


def logistic(levels):
    torch.manual_seed(0)
    loc = torch.linspace(-0.5, 1.5, 21, dtype=torch.float64)
    return DiscretizedLogistic(loc, torch.logspace(-3, 0.5, 21, dtype=torch.float64), levels)


def softmax(levels):
    torch.manual_seed(0)
    return CategoricalBins(2 * torch.randn(21, levels, dtype=torch.float64))


def binary(levels):
    return Bernoulli(logits=torch.linspace(-8, 8, 21, dtype=torch.float64))


CASES = [(logistic, 2), (logistic, 17), (logistic, 256), (softmax, 2), (softmax, 256), (binary, 2)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def case(request):
    make, levels = request.param
    values = torch.linspace(0, 1, levels, dtype=torch.float64)
    return make(levels), values, torch.stack([make(levels).log_prob(v.expand(21)) for v in values]).exp()


def test_masses_sum_to_one(case):
    _, _, mass = case
    torch.testing.assert_close(mass.sum(0), torch.ones(21, dtype=torch.float64), atol=1e-9, rtol=0)


def test_mean_is_the_masses_mean(case):
    distribution, values, mass = case
    torch.testing.assert_close(distribution.mean, values @ mass, atol=1e-9, rtol=0)


def test_mode_is_the_likeliest_value(case):
    distribution, values, mass = case
    reached = distribution.log_prob(distribution.mode).exp()
    torch.testing.assert_close(reached, mass.max(0).values, atol=1e-9, rtol=0)
    assert torch.isfinite(distribution.mode).all()
    assert (distribution.mode[:, None] - values).abs().min(1).values.max() < 1e-9


@pytest.mark.long
def test_draws_follow_the_masses(case):
    distribution, values, mass = case
    torch.manual_seed(1)
    draws = distribution.sample((20_000,))
    nearest = (draws[..., None] - values).abs()
    assert nearest.min(-1).values.max() < 1e-6, "draws lie on the grid"
    frequency = torch.nn.functional.one_hot(nearest.argmin(-1), len(values)).double().mean(0)
    assert (frequency - mass.T).abs().max() < 6 * 0.5 / 20_000**0.5


def test_logistic_stays_finite_and_differentiable_far_out():
    loc = torch.tensor([-50.0, 0.5, 50.0], requires_grad=True)
    scale = torch.tensor([1e-3, 1e-3, 1e-3], requires_grad=True)
    for value in (0.0, 0.5, 1.0):
        log_prob = DiscretizedLogistic(loc, scale, 256).log_prob(torch.full((3,), round(value * 255) / 255))
        assert torch.isfinite(log_prob).all()
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(log_prob.sum(), [loc, scale]))


def test_logistic_in_single_precision_agrees_with_double():
    loc, scale = torch.rand(1000), torch.rand(1000) * 0.2 + 1e-3
    value = torch.randint(0, 256, (1000,)) / 255
    single = DiscretizedLogistic(loc, scale, 256).log_prob(value)
    double = DiscretizedLogistic(loc.double(), scale.double(), 256).log_prob(value.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)


def test_bernoulli_log_probs_equal_those_of_torch_for_all_logits():
    logits = torch.tensor([-200.0, -20, -1, 0, 1, 20, 200], requires_grad=True)
    for value in (torch.zeros(7), torch.ones(7)):
        log_p = [each(logits=logits).log_prob(value) for each in (Bernoulli, torch.distributions.Bernoulli)]
        torch.testing.assert_close(*log_p)
        torch.testing.assert_close(*(torch.autograd.grad(each.sum(), logits) for each in log_p))
