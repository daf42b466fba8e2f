"""The likelihoods of levels: a categorical distribution per cell, independent or given the cells before it."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Independent

from helpers import LEVELS, SMALL, build, examples, step
from vaekit.batch import Batch
from vaekit.distributions.tiles import Tiles
from vaekit.refusal import Refusal


def test_probabilities_of_all_small_levels_sum_to_one_and_draws_follow_them():
    torch.manual_seed(0)
    px = Independent(Tiles(torch.randn(3, 1, 2, dtype=torch.float64)), 3)
    one_hot = torch.eye(3, dtype=torch.float64)
    levels = torch.stack(
        [torch.stack([one_hot[a], one_hot[b]], 1)[:, None] for a, b in itertools.product(range(3), repeat=2)]
    )
    p = px.log_prob(levels).exp()
    torch.testing.assert_close(p.sum(), torch.ones_like(p.sum()))
    drawn = px.sample((20_000,))
    frequency = torch.stack([(drawn == level).all((1, 2, 3)).double().mean() for level in levels])
    torch.testing.assert_close(frequency, p, atol=0.015, rtol=0)
    torch.testing.assert_close(px.mean, (p[:, None, None, None] * levels).sum(0))
    torch.testing.assert_close(px.mode, levels[p.argmax()])


def test_starts_at_the_frequencies_of_the_data():
    likelihood = build(LEVELS, "model=mlp_vae", "likelihood=tiles", *SMALL)[0].likelihood.double()
    mean = examples(LEVELS, 200, dtype=torch.float64).x.mean(0)
    likelihood.start_from(SimpleNamespace(mean=lambda: mean))
    torch.testing.assert_close(likelihood.distribution(*likelihood.bias).mean, mean, atol=2e-3, rtol=0)


def test_an_unknown_cell_has_log_probability_zero():
    vae, _ = build(LEVELS, "model=conv_vae", "likelihood=tiles", "network.channels=[4]", "network.features=8")
    batch = examples(LEVELS, 4)
    observed = torch.rand(4, *LEVELS.cell_shape) < 0.5
    batch.mask = LEVELS.per_value(observed.float())
    terms = vae(batch, 1)
    px = terms.px.base_dist.log_prob(batch.x)[0]
    expected = (px.sum(1) * observed).sum((1, 2))
    torch.testing.assert_close(terms.log_px[0], expected)


def test_an_unknown_cell_is_not_a_tile_for_the_autoregressive_likelihood():
    torch.manual_seed(0)
    words = ("model=conv_vae", "network.channels=[4]", "network.features=8", "latents.dim=2")
    vae, _ = build(LEVELS, *words, "likelihood=tiles_autoregressive")
    x = examples(LEVELS, 2).x
    x[1, :, 3, 5] = 0
    z = torch.randn(1, 2)
    with torch.no_grad():
        log_px = vae.likelihood(z).log_prob(x)
    assert torch.isfinite(log_px[0]) and log_px[1] == -torch.inf
    with pytest.raises(Refusal, match="likelihood=tiles"):
        vae.log_likelihood(x, 2)
    factorized, _ = build(LEVELS, *words, "likelihood=tiles")
    torch.manual_seed(0)
    known = factorized.log_likelihood(x, 50)
    assert torch.isfinite(known).all() and known[1] != known[0]


def test_levels_may_be_asked_for_by_the_number_of_a_tile():
    words = ("model=conv_vae", "likelihood=tiles", "network.channels=[4]", "network.features=8", "latents.dim=3")
    vae, objective = build(LEVELS, *words, "condition=attributes", "condition.features=1")
    batch = examples(LEVELS, 4)
    batch.condition = batch.x[:, [2]].sum((2, 3))
    for _ in range(2):
        assert torch.isfinite(step(vae, objective, batch))
    torch.manual_seed(0)
    few = vae.sample(2, condition=[1.0])
    torch.manual_seed(0)
    assert few.shape == (2, *LEVELS.shape) and not torch.allclose(vae.sample(2, condition=[40.0]), few)


ONE_BY_ONE = ("likelihood=tiles_autoregressive", "likelihood.width=8", "likelihood.layers=2")


@pytest.mark.long
def test_cells_drawn_one_by_one_agree_on_a_single_spawn():
    """Each cell is conditioned on the tiles before it. Independent cells have a single spawn in 4 of 10 samples."""
    vae, objective = build(LEVELS, "model=mlp_vae", *SMALL, *ONE_BY_ONE)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    for _ in range(250):
        tiles = torch.randint(2, (32, 64), generator=generator)
        tiles[torch.arange(32), torch.randint(64, (32,), generator=generator)] = 3
        x = torch.eye(4)[tiles.reshape(32, 8, 8)].movedim(-1, 1)
        optimizer.zero_grad()
        objective(vae(Batch(x)), None).mean().backward()
        optimizer.step()
    spawns = vae.sample(200)[:, 3].sum((1, 2))
    assert (spawns == 1).float().mean() > 0.7


def test_a_level_does_not_depend_on_its_neighbors_in_the_batch():
    likelihood = build(LEVELS, "model=mlp_vae", *SMALL, *ONE_BY_ONE)[0].likelihood.double()
    z, x = torch.randn(5, 3, dtype=torch.float64), examples(LEVELS, 5, dtype=torch.float64).x
    torch.testing.assert_close(likelihood(z).log_prob(x)[2:3], likelihood(z[2:3]).log_prob(x[2:3]))


@pytest.mark.parametrize("setting", ["maps", "width", "layers"])
def test_a_pixelcnn_of_size_zero_is_refused(setting):
    with pytest.raises(Refusal, match=rf"likelihood.{setting}=0 must be at least 1; use likelihood.{setting}="):
        build(LEVELS, "model=mlp_vae", *SMALL, "likelihood=tiles_autoregressive", f"likelihood.{setting}=0")


def test_levels_with_unknown_cells_are_for_the_other_likelihood():
    vae, _ = build(LEVELS, "model=mlp_vae", *SMALL, *ONE_BY_ONE)
    batch = examples(LEVELS, 2)
    batch.mask = torch.ones_like(batch.x)
    with pytest.raises(Refusal, match="likelihood=tiles"):
        vae(batch)
