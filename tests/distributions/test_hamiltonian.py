"""Leapfrog steps: their determinant, and their unbiased estimate of a normalizer."""

import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from vaekit.distributions.hamiltonian import Hamiltonian


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def hamiltonian(log_density, steps=3, batch=1):
    start = Independent(Normal(torch.zeros(batch, 2).double(), torch.full((batch, 2), 1.2).double()), 1)
    step_size, inverse_temperature = torch.tensor([0.3, 0.2]).double(), torch.tensor(0.4).double()
    return Hamiltonian(start, log_density, step_size.requires_grad_(), inverse_temperature.requires_grad_(), steps)


def ring(z):
    return -2 * (z.norm(dim=-1) - 1.5).square() + z[..., 0].sin()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_log_determinant_is_autograds(steps):
    q = hamiltonian(ring, steps)

    def leapfrog(both):
        return torch.cat(q.leapfrog(*both.split(2)))

    jacobian = torch.autograd.functional.jacobian(leapfrog, torch.randn(4).double())
    torch.testing.assert_close(
        jacobian.slogdet().logabsdet, q.inverse_temperature.log()
    )  # inverse_temperature^(D/2) of D = 2


def test_weights_estimate_the_normalizer_without_bias():
    """E[exp(log p - log q)] = integral of exp(log p), here a Gaussian's with a known constant."""
    target = MultivariateNormal(torch.tensor([0.5, -0.3]).double(), torch.tensor([[1.0, 0.6], [0.6, 0.8]]).double())
    q = hamiltonian(lambda z: target.log_prob(z) + 3.0)
    z = q.sample((50_000,))
    weights = (target.log_prob(z) - q.log_prob(z).double()).exp()
    assert weights.mean().item() == pytest.approx(1, abs=5 * weights.std().item() / math.sqrt(weights.numel()))


def test_leapfrog_steps_approach_the_target():
    """The bound E[log p - log q] of what starts two deviations away."""

    def away(z):
        return -0.5 * (z - 2).square().sum(-1)

    q = hamiltonian(away)
    start = q.initial.sample((20_000,))
    z = q.sample((20_000,))
    assert (away(z) - q.log_prob(z)).mean() > (away(start) - q.initial.log_prob(start)).mean() + 0.5


def test_gradients_are_those_of_finite_differences():
    def bound(step_size, inverse_temperature):
        torch.manual_seed(0)
        q = Hamiltonian(hamiltonian(ring, batch=4).initial, ring, step_size, inverse_temperature, 3)
        z = q.rsample((5,))
        return (ring(z) - q.log_prob(z)).mean()

    at = (torch.tensor([0.3, 0.2]).double().requires_grad_(), torch.tensor(0.4).double().requires_grad_())
    assert torch.autograd.gradcheck(bound, at)


def test_draws_the_same_without_gradients():
    drawn = []
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode():
            torch.manual_seed(1)
            z = hamiltonian(ring).rsample((3,))
        drawn.append(z.detach().clone())
    torch.testing.assert_close(drawn[0], drawn[1])
    torch.testing.assert_close(drawn[0], drawn[2])


def test_the_density_of_other_points_is_unknown():
    q = hamiltonian(ring)
    with pytest.raises(NotImplementedError):
        q.log_prob(q.sample().clone())
