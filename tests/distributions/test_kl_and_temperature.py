import pytest
import torch
from torch.distributions import Bernoulli, Beta, Categorical, Independent, Laplace, MixtureSameFamily, Normal

from vaekit.distributions.kl import closed_form_kl
from vaekit.distributions.multivariate_normal import LowRankMultivariateNormal, MultivariateNormal
from vaekit.distributions.power_spherical import PowerSpherical
from vaekit.distributions.precision import full_precision
from vaekit.distributions.sphere import SphereUniform
from vaekit.distributions.temperature import tempered
from vaekit.distributions.von_mises_fisher import VonMisesFisher
from vaekit.refusal import Refusal


def gaussian(*batch):
    return Independent(Normal(torch.randn(*batch, 3), torch.rand(*batch, 3) + 0.5), 1)


def test_kl_of_gaussians_is_the_known_formula():
    q, p = gaussian(5), Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    mu, var = q.base_dist.loc, q.base_dist.variance
    torch.testing.assert_close(closed_form_kl(q, p), 0.5 * (mu**2 + var - 1 - var.log()).sum(-1))


def test_kl_without_a_closed_form_is_none():
    mixture = Independent(MixtureSameFamily(Categorical(torch.ones(3, 2)), Normal(torch.zeros(3, 2), 1.0)), 1)
    assert closed_form_kl(gaussian(), mixture) is None


def test_temperature_scales_the_deviation():
    d = gaussian(4)
    torch.testing.assert_close(tempered(d, 0.5).stddev, 0.5 * d.stddev)
    torch.testing.assert_close(tempered(d, 0.5).mean, d.mean)


COLD = 0.6
LOC = torch.tensor([1.0, -2.0], dtype=torch.float64)
FACTOR = torch.tensor([[1.0, 0.0], [0.8, 0.5]], dtype=torch.float64)
SHIFTED = {
    "full": (MultivariateNormal(LOC, scale_tril=FACTOR), MultivariateNormal(LOC, scale_tril=COLD * FACTOR)),
    "low rank": (
        LowRankMultivariateNormal(LOC, FACTOR[:, :1], LOC.square()),
        LowRankMultivariateNormal(LOC, COLD * FACTOR[:, :1], COLD**2 * LOC.square()),
    ),
    "a distribution that no file names": (
        Independent(Laplace(LOC, LOC.abs()), 1),
        Independent(Laplace(LOC, COLD * LOC.abs()), 1),
    ),
    "von Mises-Fisher": (
        VonMisesFisher(torch.tensor([0.6, 0.8]), torch.tensor(3.0)),
        VonMisesFisher(torch.tensor([0.6, 0.8]), torch.tensor(3.0) / COLD**2),
    ),
    "power spherical": (
        PowerSpherical(torch.tensor([0.6, 0.8]), torch.tensor(3.0)),
        PowerSpherical(torch.tensor([0.6, 0.8]), torch.tensor(3.0) / COLD**2),
    ),
    "uniform": (SphereUniform(torch.zeros(3)), SphereUniform(torch.zeros(3))),
}


@pytest.mark.parametrize("name", SHIFTED)
def test_temperature_multiplies_the_standard_deviation_of_any_distribution(name):
    d, expected = SHIFTED[name]
    found, x = tempered(d, COLD), d.sample((50,))
    torch.testing.assert_close(found.log_prob(x), expected.log_prob(x))
    torch.testing.assert_close(found.mean, expected.mean)
    torch.manual_seed(0)
    draws = found.sample((20_000,))
    torch.manual_seed(0)
    torch.testing.assert_close(draws, expected.sample((20_000,)))
    assert found.expand((4,)).sample().shape == (4, *d.event_shape)


def test_temperature_0_is_the_mean_and_on_a_sphere_the_pole():
    assert torch.equal(tempered(SHIFTED["full"][0], 0.0).sample((3,)), LOC.expand(3, -1))
    for name in ("von Mises-Fisher", "power spherical"):
        torch.testing.assert_close(
            tempered(SHIFTED[name][0], 0.0).sample(), torch.tensor([0.6, 0.8]), atol=0.01, rtol=0
        )


@pytest.mark.parametrize("d", [Bernoulli(torch.ones(3)), Beta(torch.ones(3), torch.ones(3))])
def test_temperature_without_a_standard_deviation_is_refused(d):
    with pytest.raises(Refusal, match=r"Try temperature=1\."):
        tempered(d, 0.5)


def test_densities_never_run_in_half_precision():
    assert full_precision(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert full_precision(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
