"""Densities in single precision, compared with double precision."""

import pytest
import torch
from scipy.integrate import quad

from vaekit.distributions.modes import ContinuousBernoulli
from vaekit.distributions.wrapped_normal import WrappedNormal
from vaekit.spaces import poincare


@pytest.mark.parametrize("norm", [0.0, 1.0, 3.0, 4.0, 5.0])
@pytest.mark.parametrize("d", [2, 40])
def test_a_wrapped_normal_near_the_edge_of_the_ball(norm, d):
    torch.manual_seed(0)
    tangent = torch.nn.functional.normalize(torch.randn(5, d), dim=-1) * norm
    q = WrappedNormal(poincare.exp0(tangent), torch.full((d,), 0.3))
    z = q.rsample((200,))
    exact = WrappedNormal(q.loc.double(), q.scale.double())
    assert q.log_prob(z).dtype == torch.float32
    torch.testing.assert_close(q.log_prob(z).double(), exact.log_prob(z.double()), atol=1e-3, rtol=1e-6)


@pytest.mark.parametrize("d", [2, 40])
def test_points_come_back_from_the_tangent_space(d):
    torch.manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(2, 5, d), dim=-1)
    x, v = poincare.exp0(4 * direction[0]), direction[1] * 1e-3
    torch.testing.assert_close(poincare.log(x, poincare.exp(x, v)), v, atol=2e-5, rtol=0)


LOGITS = [-15.0, -8.0, -1.0, -1e-2, -1e-3, -1e-6, 0.0, 1e-5, 2e-3, 0.5, 4.0, 15.0]


@pytest.mark.parametrize("logit", LOGITS)
def test_a_continuous_bernoulli_is_exact_for_every_logit(logit):
    x = torch.linspace(0, 1, 11)
    normalizer, _ = quad(lambda value: torch.tensor(logit * value, dtype=torch.float64).exp().item(), 0, 1)
    exact = logit * x.double() - torch.tensor(normalizer, dtype=torch.float64).log()
    logits = torch.tensor(logit, requires_grad=True)
    found = ContinuousBernoulli(logits=logits).log_prob(x)
    torch.testing.assert_close(found.double(), exact, atol=2e-6, rtol=1e-6)
    (slope,) = torch.autograd.grad(found[0], logits)
    mean = ContinuousBernoulli(logits=torch.tensor(logit, dtype=torch.float64)).mean
    torch.testing.assert_close(slope.double(), -mean, atol=2e-4, rtol=1e-4)
