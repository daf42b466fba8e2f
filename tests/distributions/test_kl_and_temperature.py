import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, Normal

from vaekit.distributions.kl import closed_form_kl
from vaekit.distributions.precision import full_precision
from vaekit.distributions.temperature import tempered
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


def test_temperature_of_what_has_no_scale_is_refused():
    with pytest.raises(Refusal, match="temperature=1"):
        tempered(Bernoulli(torch.ones(3)), 0.5)


def test_densities_never_run_in_half_precision():
    assert full_precision(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert full_precision(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
