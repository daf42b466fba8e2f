"""Even mixtures: a density that integrates to one, and draws that take the components in turn."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vaekit.distributions.mixture import EvenMixture
from vaekit.distributions.temperature import tempered

OBSERVED = torch.tensor([[True, True, True], [False, True, True], [False, True, False]])


def mixture(dim=1):
    """Three rows with three, two and one component."""
    torch.manual_seed(0)
    loc, scale = 2 * torch.randn(3, 3, dim, dtype=torch.float64), 0.3 + torch.rand(3, 3, dim, dtype=torch.float64)
    return EvenMixture(loc.requires_grad_(), scale.requires_grad_(), OBSERVED)


def test_density_is_that_of_torch_and_integrates_to_one():
    q, x = mixture(), torch.linspace(-15, 15, 6001, dtype=torch.float64)
    log_q = q.log_prob(x[:, None, None].expand(-1, 3, 1))
    for row, observed in enumerate(OBSERVED):
        normals = Independent(Normal(q.loc[row, observed], q.scale[row, observed]), 1)
        torchs = MixtureSameFamily(Categorical(torch.ones(int(observed.sum()), dtype=torch.float64)), normals)
        torch.testing.assert_close(log_q[:, row], torchs.log_prob(x[:, None]))
        torch.testing.assert_close(q.mean[row], torchs.mean)
    torch.testing.assert_close(torch.trapezoid(log_q.exp(), x, dim=0), torch.ones(3, dtype=torch.float64))


def test_observed_components_take_turns():
    q = mixture()
    narrow = EvenMixture(q.loc.detach(), torch.full_like(q.scale, 1e-6), OBSERVED)
    z = narrow.rsample((6,))
    component = (z.unsqueeze(-2) - narrow.loc).abs().sum(-1).argmin(-1)  # [6, 3]
    for row, count in enumerate((3, 2, 1)):
        assert torch.equal(component[count:, row], component[:-count, row]), "draws c, c + C, ... are of one component"
        assert sorted(component[:count, row].tolist()) == OBSERVED[row].nonzero().flatten().tolist()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_each_draw_is_one_of_the_mixture(k):
    """For any number of draws at once, the last draw has the moments of a component chosen at random."""
    q = mixture()
    wide = EvenMixture(
        *(each.detach()[:1].expand(40_000, 3, 1) for each in (q.loc, q.scale)), OBSERVED[:1].expand(40_000, 3)
    )
    z, x = wide.sample((k,))[-1, :, 0], torch.linspace(-15, 15, 6001, dtype=torch.float64)
    p = q.log_prob(x[:, None, None].expand(-1, 3, 1)).exp()[:, 0].detach()
    for f in (lambda x: x, lambda x: x**2, lambda x: (x > 0.3).double()):
        expected = torch.trapezoid(f(x) * p, x)
        assert abs(f(z).mean() - expected) < 5 * f(z).std() / math.sqrt(len(z)) + 1e-3


def test_the_gradient_of_draws_is_that_of_the_expectation():
    q = mixture()
    exact = torch.autograd.grad((q.loc**2 + q.scale**2)[0].mean(), (q.loc, q.scale))  # E z^2
    z = q.rsample((600_000,))
    drawn = torch.autograd.grad(z[:, 0].square().mean(), (q.loc, q.scale))
    for one, other in zip(exact, drawn, strict=True):
        torch.testing.assert_close(one, other, atol=0.03, rtol=0)


def test_temperature_is_about_each_mean():
    q = mixture()
    cold = tempered(q, 0.1)
    torch.testing.assert_close(cold.mean, q.mean)
    torch.testing.assert_close(cold.scale, 0.1 * q.scale)
