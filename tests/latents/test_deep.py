"""Towers of maps: sizes follow from the image, features go to the level of their size, depth scales the start."""

import pytest
import torch

from helpers import BINARY, VECTORS, build, examples, step
from vaekit.latents.deep import parse_blocks
from vaekit.networks.pyramid import Bottleneck
from vaekit.refusal import Refusal, located
from vaekit.spaces import Image

DEEP = ("model=deep_vae", "likelihood=bernoulli", "network.channels=8", "latents.dim=2")
SMALL = (*DEEP, "latents.blocks=[4x2,1x1]")


@pytest.fixture
def vae():
    vae, objective = build(BINARY, *SMALL)
    step(vae, objective, examples(BINARY, 5))
    return vae.double()


@pytest.mark.parametrize(
    ("shape", "blocks", "sizes"),
    [
        ((1, 8, 8), "[4x2,1x1]", [(1, 1), (4, 4), (4, 4)]),
        ((1, 8, 8), "'1x1, 4x2'", [(1, 1), (4, 4), (4, 4)]),
        ((1, 8, 8), "8x1", [(8, 8)]),
        ((1, 28, 28), "null", [(1, 1)] * 2 + [(7, 7)] * 4 + [(14, 14)] * 4),
        ((3, 33, 17), "[16x1,5x1,2x1,1x1]", [(1, 1), (2, 1), (5, 3), (16, 8)]),
        ((2, 8, 21), "null", [(1, 3)] * 2 + [(2, 5)] * 4 + [(4, 10)] * 4),
    ],
)
def test_sizes_follow_from_the_image(shape, blocks, sizes):
    space = Image(shape, bins=2)
    vae, objective = build(space, *DEEP, f"latents.blocks={blocks}")
    assert [level.space.shape for level in vae.latents.levels] == [(2, *size) for size in sizes]
    batch = examples(space, 4)
    terms = vae(batch, 3)
    assert [each.z.shape for each in terms.steps] == [(3, 4, 2, *size) for size in sizes]
    assert terms.log_w.shape == (3, 4)
    assert objective(terms, None).shape == (4,)
    assert vae.sample(3).shape == (3, *shape)
    assert [z.shape for z in vae.encode(batch.x)] == [(4, 2, *size) for size in sizes]
    assert vae.interpolate(batch.x[:2], batch.x[2:], steps=3).shape == (2, 3, *shape)
    assert vae.vary(batch.x, n=2).shape == (4, 2, *shape)
    assert torch.isfinite(vae.log_likelihood(batch.x, 2)).all()


@pytest.mark.long
def test_every_weight_learns_once_the_priors_have_left_where_they_start():
    for prior in ("standard_normal", "gaussian", "mixture", "vamp", "exemplar", "two_stage"):
        vae, objective = build(BINARY, *SMALL, f"prior={prior}")
        for _ in range(2):
            step(vae, objective, examples(BINARY, 5))
        vae.zero_grad()
        objective(vae(examples(BINARY, 5), 2), None).mean().backward()
        assert [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_draws_of_a_row_depend_on_nothing_else(vae):
    x = examples(BINARY, 5, dtype=torch.float64).x
    with torch.no_grad():
        features = vae.encoder(x)
        whole, state = vae.infer(features, 3), None
        for level, drawn in zip(vae.latents.levels, whole.steps, strict=True):
            q, p = level.infer(features[3:4], state), level.generate(state)
            z = drawn.z[2, 3][None]
            torch.testing.assert_close(q.log_prob(z)[0], drawn.q.log_prob(drawn.z)[2, 3])
            torch.testing.assert_close(p.log_prob(z).reshape(()), drawn.p.log_prob(drawn.z)[2, 3])
            state = level.merge(state, z)
        torch.testing.assert_close(state[0], whole.state[2, 3])


def test_replaying_a_draw_meets_the_same_state(vae):
    draw = vae.infer(vae.encoder(examples(BINARY, 5, dtype=torch.float64).x), 3)
    again = vae.replay([each.z for each in draw.steps])
    torch.testing.assert_close(again.state, draw.state)
    torch.testing.assert_close(again.steps[2].p.mean, draw.steps[2].p.mean)


@pytest.mark.long
def test_nll_does_not_depend_on_what_is_drawn_from():
    """Importance weights integrate to p(x): with another proposal, the same estimate."""
    vae, objective = build(BINARY, *SMALL, "latents.blocks=[2x1,1x1]", "latents.dim=1", "network.channels=4")
    for _ in range(5):
        step(vae, objective, examples(BINARY, 5))
    vae = vae.double()
    batch = examples(BINARY, 3, dtype=torch.float64)
    with torch.no_grad():
        features = vae.encoder(batch.x)
        torch.manual_seed(0)
        log_w = [vae.terms(batch, features, 5000, temperature).log_w for temperature in (1.0, 1.2)]
    assert (log_w[0].std(0) > 0.05).all(), "a posterior that is not exact"
    first, second = (each.logsumexp(0) for each in log_w)
    torch.testing.assert_close(first, second, atol=0.05, rtol=0)


def test_each_level_reads_the_map_of_its_own_size():
    vae, _ = build(BINARY, *DEEP, "latents.blocks=[4x1,2x2,1x1]")
    x = examples(BINARY, 2).x
    coarse_to_fine = {1: 2, 2: 1, 4: 0}  # to the position among the steps of the encoder, finest first
    maps = [vae.encoder.network(x)]
    for bottom_up in vae.encoder.steps:
        maps.append(bottom_up(maps[-1]))
    features = vae.encoder(x)
    assert [each.shape[-1] for each in maps] == [4, 2, 1]
    for level in vae.latents.levels:
        own = features[:, level.feature_slice].unflatten(1, level.shape)
        assert torch.equal(own, maps[coarse_to_fine[level.space.shape[-1]]])


@pytest.mark.long
def test_branches_start_the_smaller_the_deeper():
    def spread(count):
        vae, _ = build(BINARY, *DEEP, "network.channels=64", f"latents.blocks=4x{count}")
        top = vae.latents.levels[0]
        return [weight.std().item() for weight in (top.state_block.body[-1].weight, top.z_proj.weight)]

    for one, nine in zip(spread(1), spread(9), strict=True):
        assert one / nine == pytest.approx(3, rel=0.1)


def test_a_block_is_residual_and_reads_neighbors():
    block, x = Bottleneck(8, (5, 5)), torch.randn(2, 3, 8, 5, 5)
    assert block(x).shape == x.shape
    torch.testing.assert_close(block(x)[1, 2], block(x[1, 2:])[0])
    assert torch.equal(Bottleneck(8, (5, 5), scale=0.0)(x), x)
    moved = x.clone()
    moved[..., 0, 0] += 1
    assert ((block(moved) - block(x))[..., 2, 2].abs() > 0).any()
    alone = Bottleneck(8, (2, 2))
    assert not ((alone(moved[..., :2, :2]) - alone(x[..., :2, :2]))[..., 1, 1].abs() > 0).any()


def test_each_level_has_a_temperature_of_its_own(vae):
    torch.manual_seed(0)
    cold = vae.sample(20, [0, 0, 0])
    assert (cold == cold[0]).all()
    torch.manual_seed(0)
    warm = vae.generate(20, [0, 0, 1]).steps
    assert (warm[1].z == warm[1].z[0]).all() and warm[2].z.std(0).min() > 0.3


@pytest.mark.parametrize("blocks", ["14", "4x0", "0x4", "4x1,4x2", "4*2", "", "9x1", "-4x1"])
def test_invalid_blocks_are_refused(blocks):
    with located("latents"), pytest.raises(Refusal, match=r"latents.blocks=\[4x4,2x4,1x2\]"):
        parse_blocks(blocks.split(","), 8)


REFUSED = {
    "network=mlp": "network=pyramid",
    "network=conv": "latents=ladder",
    "posterior=full_gaussian": "posterior=gaussian",
    "posterior=flow": "posterior=gaussian",
    "posterior=dirac objective=reconstruction": "posterior=gaussian",
    "posterior=von_mises_fisher prior=sphere_uniform": "posterior=gaussian",
    "prior=flow": "prior=gaussian",
    "prior@latents.below=flow": "prior@latents.below=gaussian",
    "prior@latents.below=standard_normal": "prior@latents.below=gaussian",
    "latents.dim=0": "latents.dim=16",
    "latents.blocks=[16x1]": "latents.blocks=",
}


@pytest.mark.parametrize("choices", REFUSED)
def test_invalid_settings_are_refused_with_valid_ones(choices):
    network = ["network.channels=[4]"] if "=conv" in choices else [] if "=mlp" in choices else ["network.channels=8"]
    with pytest.raises(Refusal) as refused:
        build(BINARY, "model=deep_vae", "likelihood=bernoulli", *choices.split(), *network)
    assert REFUSED[choices] in str(refused.value)


def test_vectors_have_no_maps():
    with pytest.raises(Refusal, match="network=mlp"):
        build(VECTORS, *DEEP, "likelihood=gaussian")
