"""Every prior: a density over its space that its own samples follow."""

import math

import pytest
import torch

from helpers import BINARY, examples
from spaces_of_z import grid, small_vae
from vaekit.configs import options


@pytest.fixture(params=sorted(options("prior")))
def prior(request):
    torch.manual_seed(0)
    vae = small_vae("prior", request.param)
    with torch.no_grad():  # away from where it starts, which may be another prior's place
        for p in vae.latents.levels[0].prior.parameters():
            p.add_(0.03 * torch.randn_like(p))
        return vae.latents.levels[0].prior


def test_density_integrates_to_one(prior):
    points, cells = grid(prior.space)
    with torch.no_grad():
        mass = (prior(None).log_prob(points).exp() * cells).sum().item()
    assert mass == pytest.approx(1, abs=2e-3)


def test_samples_follow_the_density(prior):
    """E[f(z)] by samples and by integration agree, for moments and for indicator functions."""
    points, cells = grid(prior.space)
    torch.manual_seed(0)
    with torch.no_grad():
        weight = prior(None).log_prob(points).exp() * cells
        z = prior(None).sample((100_000,))
    assert z.shape == (100_000, *prior.space.shape)
    for f in (
        lambda z: z[..., 0],
        lambda z: z[..., 1],
        lambda z: z[..., 0] ** 2,
        lambda z: z[..., 0] * z[..., 1],
        lambda z: (z[..., 0] > 0.5).double(),
        lambda z: (z.norm(dim=-1) < 0.7).double(),
    ):
        drawn = f(z)
        error = 5 * drawn.std().item() / math.sqrt(len(z)) + 5e-3
        assert drawn.mean().item() == pytest.approx((f(points) * weight).sum().item(), abs=error)


def test_vamp_is_the_posterior_of_its_pseudo_inputs():
    vae = small_vae("prior", "vamp", "prior.components=1")
    prior = vae.latents.levels[0].prior
    z = torch.randn(7, 2, dtype=torch.float64)
    q = vae.latents.levels[0].posterior(vae.encoder(prior.pseudo.sigmoid()))
    torch.testing.assert_close(prior(None).log_prob(z), q.log_prob(z))


class Data:
    def examples(self, part, n):
        return examples(BINARY, n, seed=3)


def test_vamp_and_exemplar_start_from_training_rows():
    vamp = small_vae("prior", "vamp", "prior.components=5").latents.levels[0].prior
    vamp.start_from(Data())
    assert torch.equal(vamp.pseudo.sigmoid().round(), examples(BINARY, 5, seed=3).x.double())
    exemplar = small_vae("prior", "exemplar", "prior.components=5").latents.levels[0].prior
    exemplar.start_from(Data())
    assert torch.equal(exemplar.rows, examples(BINARY, 5, seed=3).x.double())
