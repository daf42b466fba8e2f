"""Every posterior: reads x, draws with a gradient, and scores its own draws with a proper density."""

import math

import pytest
import torch

from helpers import examples
from spaces_of_z import grid, part, small_vae
from vaekit.configs import options
from vaekit.spaces import Codes

NAMES = sorted(options("posterior"))
DENSE = [name for name in NAMES if "density" in part("posterior", name).gives]
CONTINUOUS = [name for name in DENSE if part("posterior", name).latent is not Codes]


def level_and_features(name):
    torch.manual_seed(0)
    vae = small_vae("posterior", name)
    level = vae.latents.levels[0]
    with torch.no_grad():  # scales start alike for every x: move on from there
        for p in level.posterior.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return level, vae.encoder(examples(vae.space, 3, dtype=torch.float64).x).detach()


@pytest.mark.parametrize("name", NAMES)
def test_changes_with_x(name):
    level, features = level_and_features(name)
    torch.manual_seed(0)
    z = level.infer(features, None).sample((2000,)).mean(0)
    assert z.shape == (3, *level.space.shape)
    assert z.std(0).max() > 0.05


@pytest.mark.long
@pytest.mark.parametrize("name", DENSE)
def test_density_integrates_to_one(name):
    level, features = level_and_features(name)
    points, cells = grid(level.space)
    with torch.no_grad():
        q = level.infer(features, None)
        mass = (q.log_prob(points.unsqueeze(1).expand(-1, 3, -1)).exp() * cells.unsqueeze(1)).sum(0)
    torch.testing.assert_close(mass, torch.ones(3, dtype=torch.float64), atol=2e-3, rtol=0)


@pytest.mark.long
@pytest.mark.parametrize("name", DENSE)
def test_draws_follow_the_density(name):
    level, features = level_and_features(name)
    points, cells = grid(level.space)
    torch.manual_seed(1)
    with torch.no_grad():
        q = level.infer(features[:1], None)
        weight = q.log_prob(points.unsqueeze(1)).exp().squeeze(1) * cells
        z = q.sample((100_000,)).squeeze(1)
    for f in (
        lambda z: z[:, 0],
        lambda z: z[:, 1] ** 2,
        lambda z: z[:, 0] * z[:, 1],
        lambda z: (z[:, 0] > 0.3).double(),
    ):
        drawn = f(z)
        error = 5 * drawn.std().item() / math.sqrt(len(z)) + 5e-3
        assert drawn.mean().item() == pytest.approx((f(points) * weight).sum().item(), abs=error)


@pytest.mark.parametrize("name", DENSE)
def test_a_draw_and_any_other_z_are_scored_alike(name):
    """A flow may remember its own draw's density; it must be the one that it would compute."""
    level, features = level_and_features(name)
    q = level.infer(features, None)
    z = q.rsample((4,))
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", DENSE)
def test_draws_and_densities_are_exact_where_networks_run_in_bf16(name):
    torch.manual_seed(0)
    vae, found = small_vae("posterior", name), []
    features = torch.zeros_like(vae.encoder(examples(vae.space, 5, dtype=torch.float64).x).float())
    level = vae.float().latents.levels[0]
    with torch.no_grad():  # biases are all that features of 0 leave of a head: the same numbers in both precisions
        for p in level.posterior.parameters():
            p.copy_(p.add(0.3 * torch.randn_like(p)).bfloat16())
    for bf16 in (False, True):
        torch.manual_seed(0)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            q = level.infer(features, None)
            z = q.sample((4,))
            found.append((z, q.log_prob(z.clone())))
    for plain, halved in zip(*found, strict=True):
        torch.testing.assert_close(halved, plain)


@pytest.mark.parametrize("name", [name for name in NAMES if "rsample" in part("posterior", name).gives])
def test_draws_carry_a_gradient_to_every_parameter(name):
    level, features = level_and_features(name)
    q = level.infer(features, None)
    z = q.rsample((50,))
    loss = z[..., 0].exp().sum()
    (loss + q.log_prob(z).sum() if name in DENSE else loss).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in level.posterior.parameters())


@pytest.mark.long
@pytest.mark.parametrize("name", CONTINUOUS)
def test_gradients_of_draws_are_those_of_the_expectation(name):
    """d/d theta E[f(z)] by reparameterized draws and by integration of the density."""
    level, features = level_and_features(name)
    points, cells = grid(level.space)
    weights = [p for p in level.posterior.parameters() if p.dim() == 1][:1]

    def f(z):
        return (z[..., 0] + 0.5).square() + z[..., 1]

    q = level.infer(features[:1], None)
    density = q.log_prob(points.unsqueeze(1)).squeeze(1).exp()
    exact = torch.autograd.grad((f(points) * density * cells).sum(), weights)[0]
    torch.manual_seed(0)
    means = [f(level.infer(features[:1], None).rsample((20_000,))).mean() for _ in range(10)]
    drawn = torch.stack([torch.autograd.grad(mean, weights)[0] for mean in means])
    error = 5 * drawn.std(0) / math.sqrt(10) + 0.01
    assert ((drawn.mean(0) - exact).abs() < error).all()
