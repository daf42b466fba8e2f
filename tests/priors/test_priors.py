"""Every prior: a density over its space that its own samples follow."""

import math

import pytest
import torch

from helpers import BINARY, build
from vaekit.configs import options


@pytest.fixture(params=sorted(options("prior")))
def prior(request):
    vae, _ = build(BINARY, "model=mlp_vae", "network.hidden=[16]", "latents.dim=2", f"prior={request.param}")
    return vae.latents.levels[0].prior.double()


def test_density_integrates_to_one(prior):
    axis = torch.linspace(-12, 12, 801, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    with torch.no_grad():
        density = prior(None).log_prob(grid).exp()
    assert torch.trapezoid(torch.trapezoid(density, axis), axis).item() == pytest.approx(1, abs=1e-4)


def test_samples_follow_the_density(prior):
    """E[f(z)] by samples and by integration agree, for moments and for indicator functions."""
    torch.manual_seed(0)
    axis = torch.linspace(-12, 12, 801, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    with torch.no_grad():
        weight = prior(None).log_prob(grid).exp() * (axis[1] - axis[0]) ** 2
        z = prior(None).sample((200_000,))
    assert z.shape == (200_000, 2)
    for f in (
        lambda z: z[..., 0],
        lambda z: z[..., 1],
        lambda z: z[..., 0] ** 2,
        lambda z: z[..., 0] * z[..., 1],
        lambda z: (z[..., 0] > 0.5).double(),
        lambda z: (z.norm(dim=-1) < 1).double(),
    ):
        drawn = f(z)
        error = 5 * drawn.std().item() / math.sqrt(len(z)) + 5e-3
        assert drawn.mean().item() == pytest.approx((f(grid) * weight).sum().item(), abs=error)
