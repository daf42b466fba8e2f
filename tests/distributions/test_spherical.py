"""Distributions on the sphere in higher dimensions, against closed forms."""

import math

import pytest
import torch
from scipy import special
from torch.distributions import kl_divergence

from vaekit.distributions.power_spherical import PowerSpherical
from vaekit.distributions.sphere import SphereUniform, log_area
from vaekit.distributions.von_mises_fisher import VonMisesFisher

DIMENSIONS = (2, 3, 5, 20, 100)


def pole(d):
    return torch.nn.functional.normalize(torch.arange(1.0, d + 1, dtype=torch.float64), dim=0)


@pytest.mark.parametrize("d", [3, 5, 20])
@pytest.mark.parametrize("k", [0.01, 1.0, 10.0, 500.0])
def test_von_mises_fisher_agrees_with_bessel_functions(d, k):
    q = VonMisesFisher(pole(d), torch.tensor(k, dtype=torch.float64))
    order = d / 2 - 1
    log_bessel = math.log(special.ive(order, k)) + k
    log_c = order * math.log(k) - d / 2 * math.log(2 * math.pi) - log_bessel
    assert q.log_prob(pole(d)).item() == pytest.approx(log_c + k, rel=1e-6, abs=1e-6)
    ratio = special.ive(order + 1, k) / special.ive(order, k)
    assert q.mean.norm().item() == pytest.approx(ratio, rel=1e-6)
    closed = k * ratio + log_c + log_area(d)
    assert kl_divergence(q, SphereUniform(pole(d))).item() == pytest.approx(closed, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", [VonMisesFisher, PowerSpherical])
@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("k", [0.5, 30.0, 1000.0])
def test_draws_lie_on_the_sphere_and_have_the_mean(kind, d, k):
    torch.manual_seed(0)
    q = kind(pole(d), torch.tensor(k, dtype=torch.float64))
    z = q.rsample((20_000,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(20_000, dtype=torch.float64))
    assert ((z.mean(0) - q.mean).abs() < 6 * z.std(0) / 20_000**0.5 + 1e-6).all()


@pytest.mark.parametrize("kind", [VonMisesFisher, PowerSpherical])
@pytest.mark.parametrize("d", [3, 20])
def test_kl_to_the_uniform_is_the_mean_log_ratio(kind, d):
    torch.manual_seed(0)
    q, p = kind(pole(d), torch.tensor(15.0, dtype=torch.float64)), SphereUniform(pole(d))
    z = q.sample((50_000,))
    ratio = q.log_prob(z) - p.log_prob(z)
    assert ratio.mean().item() == pytest.approx(kl_divergence(q, p).item(), abs=5 * ratio.std().item() / 50_000**0.5)


@pytest.mark.parametrize("kind", [VonMisesFisher, PowerSpherical])
@pytest.mark.parametrize("k", [0.7, 20.0, 300.0])
def test_gradient_reaches_the_concentration(kind, k):
    """d/dk E[loc . z] by draws and from the closed-form mean."""
    k = torch.tensor(k, dtype=torch.float64, requires_grad=True)
    exact = torch.autograd.grad((kind(pole(5), k).mean * pole(5)).sum(), k)[0]
    torch.manual_seed(0)
    cosine = kind(pole(5), k).rsample((100_000,)) @ pole(5)
    drawn = torch.autograd.grad(cosine.mean(), k)[0]
    torch.testing.assert_close(drawn, exact, rtol=0.03, atol=1e-7)


def test_uniform_is_uniform():
    torch.manual_seed(0)
    z = SphereUniform(torch.zeros(4, dtype=torch.float64)).sample((50_000,))
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(4, dtype=torch.float64) / 4, atol=0.01, rtol=0)
    assert log_area(3) == pytest.approx(math.log(4 * math.pi))
