"""Student's t over several series: a density, and draws that follow it."""

import math

import torch
from torch.distributions import Normal, StudentT

from vaekit.distributions.multivariate_student import MultivariateStudent

FACTOR = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)


def distribution(freedom=5.0, steps=1):
    loc = torch.tensor([[0.3], [-0.2]]).double().expand(2, steps)
    return MultivariateStudent(
        loc, torch.tensor([[0.7], [1.2]]).double().expand(2, steps), FACTOR, torch.tensor(freedom).double()
    )


def test_the_density_integrates_to_one():
    # x = tan(t) in each direction reaches the whole plane
    t = torch.linspace(-math.pi / 2 + 1e-4, math.pi / 2 - 1e-4, 1201).double()
    x = torch.cartesian_prod(t.tan(), t.tan()).unsqueeze(-1)
    height = distribution().log_prob(x).exp() * (1 + x[..., 0].square()).prod(-1)
    mass = torch.trapezoid(torch.trapezoid(height.reshape(len(t), len(t)), t), t)
    torch.testing.assert_close(mass, torch.ones_like(mass), atol=1e-4, rtol=0)


def test_one_series_is_student_and_steps_multiply():
    loc, scale = torch.randn(3, 1, 4).double(), torch.rand(3, 1, 4).double() + 0.1
    px = MultivariateStudent(loc, scale, torch.ones(1, 1).double(), torch.tensor(4.0))
    x = torch.randn(3, 1, 4).double()
    torch.testing.assert_close(px.log_prob(x), StudentT(4.0, loc, scale).log_prob(x).sum((1, 2)))


def test_draws_follow_the_density():
    torch.manual_seed(0)
    px = distribution(steps=3)
    x = px.sample((40_000,))
    torch.testing.assert_close(x.mean(0), px.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(x.var(0), px.variance, atol=0, rtol=0.06)
    assert abs(torch.corrcoef(x[:, :, 0].T)[0, 1] - 0.6) < 0.03
    # the fraction of draws in a box is its probability
    edge = torch.linspace(-1, 1, 201).double()
    grid = torch.cartesian_prod(edge, edge).unsqueeze(-1)
    height = distribution().log_prob(grid).exp().reshape(201, 201)
    inside = (x[..., 0].abs() < 1).all(1).double().mean()
    assert abs(inside - torch.trapezoid(torch.trapezoid(height, edge), edge)) < 0.01


def test_series_are_extreme_together():
    torch.manual_seed(0)
    plain = MultivariateStudent(
        *torch.stack([torch.zeros(2, 1), torch.ones(2, 1)]).double(), torch.eye(2).double(), torch.tensor(3.0)
    )
    far = plain.sample((20_000,))[..., 0].abs() > 4
    assert far.all(1).double().mean() > 5 * far[:, 0].double().mean() * far[:, 1].double().mean()


def test_many_degrees_of_freedom_are_normal():
    px, x = distribution(freedom=1e6), torch.zeros(2, 1).double()
    u = torch.linalg.solve(FACTOR, (x - px.loc) / px.scale)
    expected = Normal(0, 1).log_prob(u).sum() - (px.scale.log().sum() + FACTOR.diagonal().log().sum())
    torch.testing.assert_close(px.log_prob(x), expected, atol=1e-4, rtol=0)


def test_batches_are_scored_and_drawn_alone():
    px = MultivariateStudent(torch.randn(2, 3, 4), torch.rand(2, 3, 4) + 0.1, torch.eye(3), torch.tensor(3.0))
    assert px.sample((5,)).shape == (5, 2, 3, 4) and px.log_prob(torch.zeros(5, 1, 3, 4)).shape == (5, 2)
    assert px.expand((6, 2)).log_prob(torch.zeros(3, 4)).shape == (6, 2)
