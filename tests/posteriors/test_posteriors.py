"""Every posterior: reads x, draws with a gradient, and scores its own draws with a proper density."""

import pytest
import torch

from helpers import BINARY, build, examples
from vaekit.configs import options


@pytest.fixture(params=sorted(options("posterior")))
def level(request):
    vae, _ = build(BINARY, "model=mlp_vae", "network.hidden=[16]", "latents.dim=2", f"posterior={request.param}")
    vae = vae.double()
    return vae.latents.levels[0], vae.encoder(examples(BINARY, 3, dtype=torch.float64).x)


def test_changes_with_x(level):
    level, features = level
    z = torch.zeros(2, dtype=torch.float64)
    log_prob = level.infer(features, None).log_prob(z)
    assert log_prob.shape == (3,)
    assert log_prob.std() > 1e-4


def test_density_integrates_to_one(level):
    level, features = level
    axis = torch.linspace(-12, 12, 801, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).unsqueeze(2)
    with torch.no_grad():
        density = level.infer(features, None).log_prob(grid).exp()
    mass = torch.trapezoid(torch.trapezoid(density, axis, dim=1), axis, dim=0)
    torch.testing.assert_close(mass, torch.ones(3, dtype=torch.float64), atol=1e-4, rtol=0)


def test_draws_carry_a_gradient_to_every_parameter(level):
    level, features = level
    q = level.infer(features, None)
    z = q.rsample((50,))
    assert z.shape == (50, 3, 2)
    (z.square().sum() + q.log_prob(z).sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in level.posterior.parameters())
