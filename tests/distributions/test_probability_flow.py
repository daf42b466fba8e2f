"""Flows along a velocity that is known in closed form: that of a normal distribution."""

import math
from functools import partial

import pytest
import torch
from torch.distributions import Independent, Normal

from vaekit.distributions import probability_flow
from vaekit.distributions.probability_flow import PATHS, ProbabilityFlow

SCALE = torch.tensor([0.3, 2.0], dtype=torch.float64)


def of_a_normal(path, y, t):
    """The velocity E[dy_t / dt | y_t] where y is normal with standard deviation `SCALE`."""
    at = path.at(t.unsqueeze(-1))
    covariance = at.signal * at.signal_rate * SCALE**2 + at.noise * at.noise_rate
    return covariance / (at.signal**2 * SCALE**2 + at.noise**2) * y


@pytest.fixture(params=sorted(PATHS))
def normal_flow(request):
    """The flow to N(loc, scale^2 SCALE^2), and that distribution."""
    torch.manual_seed(0)
    path = PATHS[request.param]
    loc, scale = torch.tensor([[1.0, -3.0]] * 2, dtype=torch.float64)
    scale = scale.abs() / 2
    flow = partial(ProbabilityFlow, partial(of_a_normal, path), path, loc, scale, event_dims=1)
    return flow, Independent(Normal(loc, scale * SCALE), 1)


def test_densities_are_exact_up_to_the_steps(normal_flow):
    flow, exact = normal_flow
    z = exact.sample((500,))
    errors = [(flow(steps=steps).log_prob(z) - exact.log_prob(z)).abs().max().item() for steps in (40, 80)]
    assert errors[0] < 0.02
    assert errors[1] < errors[0] / 3  # of the order of 1 / steps^2


def test_the_estimate_of_the_density_is_exact_on_average(normal_flow, monkeypatch):
    flow, exact = normal_flow
    z = exact.sample((1, 2)).expand(1, 2, 2)
    monkeypatch.setattr(probability_flow, "EXACT_TRACE", 1)
    torch.testing.assert_close(flow(steps=80).log_prob(z), exact.log_prob(z), atol=0.01, rtol=0)  # a diagonal Jacobian


def test_states_between_the_ends_are_not_kept(normal_flow, monkeypatch):
    flow, _ = normal_flow
    times, kept = [], []

    def velocity(y, t):
        times.append(t.item())
        return torch.zeros_like(y)

    def watched(*arguments, call=probability_flow.odeint, **options):
        kept.append(call(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(probability_flow, "odeint", watched)
    p = flow(steps=3)
    p.drawn = velocity
    assert p.sample((5,)).shape == (5, 2)
    assert kept[0].shape == (2, 5, 2)
    assert times == pytest.approx([0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6])


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_draws_have_the_moments_of_the_normal(normal_flow, noise):
    flow, exact = normal_flow
    z = flow(steps=200, noise=noise).sample((20_000,))
    torch.testing.assert_close(z.mean(0), exact.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(z.std(0), exact.stddev, atol=0, rtol=0.03)


def test_the_lower_bound_is_the_negative_entropy_for_the_right_velocity(normal_flow):
    """And lower for another velocity, by what the relative entropy of the two diffusions is."""
    flow, exact = normal_flow
    z = exact.sample((100_000,))
    bounds = flow().lower_bound(z)
    assert bounds.shape == (100_000,)
    error = 5 * bounds.std().item() / math.sqrt(len(z))
    assert bounds.mean().item() == pytest.approx(-exact.entropy().item(), abs=error)
    flow.keywords["event_dims"] = 1
    wrong = flow()
    right, wrong.velocity = wrong.velocity, lambda y, t: right(y, t) + 0.3
    assert wrong.lower_bound(z).mean() < bounds.mean() - 0.1


def test_the_loss_is_least_at_the_right_velocity(normal_flow):
    flow, exact = normal_flow
    z = exact.sample((100_000,))
    p = flow()
    right, losses = p.velocity, {}
    for factor in (0.8, 1.0, 1.2):
        torch.manual_seed(0)
        p.velocity = lambda y, t, factor=factor: factor * right(y, t)
        losses[factor] = p.fitting_loss(z).mean().item()
    assert min(losses, key=losses.get) == 1.0


def test_a_temperature_scales_the_noise_that_draws_start_from(normal_flow):
    flow, exact = normal_flow
    p = flow(steps=40).tempered(0.5).expand((3,))
    z = p.sample((5000,))
    assert z.shape == (5000, 3, 2)
    torch.testing.assert_close(z.flatten(0, 1).std(0), 0.5 * exact.stddev, atol=0, rtol=0.05)
    half = Independent(Normal(exact.mean, 0.5 * exact.stddev), 1)
    torch.testing.assert_close(p.log_prob(z[:9]), half.log_prob(z[:9]), atol=0.05, rtol=0)
    still = flow(steps=40).tempered(0.0).sample((2,))
    torch.testing.assert_close(still, exact.mean.expand(2, 2))
