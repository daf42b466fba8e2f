"""Hierarchies of vectors: with one level they are the flat VAE; with several they agree with closed forms."""

import math
from pathlib import Path

import pytest
import torch
from torch.distributions import MultivariateNormal

import vaekit
from helpers import BINARY, VECTORS, build, examples, step
from spaces_of_z import grid
from vaekit.configs import options
from vaekit.latents.ladder import LevelBlock
from vaekit.posteriors.gaussian import Gaussian
from vaekit.refusal import Refusal
from vaekit.vae import Draw, Step

SMALL = ("model=mlp_vae", "network.hidden=[16]", "latents.dim=4")
LADDER = (*SMALL, "latents=ladder", "latents.width=8", "latents.levels=3")
FLOWS = {"prior@latents.below=flow": ["latents.below.flow.transforms=2", "latents.below.flow.hidden_features=[8]"]}
DENSE = ["gaussian", "full_gaussian", "low_rank_gaussian", "flow", "planar"]


@pytest.fixture
def vae():
    vae, objective = build(BINARY, *LADDER, "latents.ratio=1")
    step(vae, objective, examples(BINARY, 5))
    return vae.double()


FLAT = ["mlp_vae", "vamp_vae", "flow_prior_vae", "iaf_vae", "s_vae", "hvae", "ae", "conv_vae", "iwae"]


@pytest.mark.parametrize("preset", FLAT)
def test_a_ladder_of_one_level_is_the_flat_vae_to_the_bit(preset):
    small = ["network.hidden=[16]"] if preset not in ("conv_vae", "flow_prior_vae") else ["network.channels=[4]"]
    found = []
    for tower in (["latents=single"], ["latents=ladder", "latents.levels=1"]):
        vae, objective = build(BINARY, f"model={preset}", "latents.dim=3", *small, *tower)
        torch.manual_seed(0)
        losses = [step(vae, objective, examples(BINARY, 5)).item() for _ in range(3)]
        found.append((losses, vae.state_dict()))
    (flat, weights), (ladder, others) = found
    assert flat == ladder
    assert list(weights) == list(others)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_one_top_down_pass():
    """Inferring, generating, replaying: only `descend` takes a state from one level to the next."""
    files = Path(vaekit.__file__).parent.rglob("*.py")
    assert [path.name for path in files if "level.merge(" in path.read_text()] == ["tower.py"]


@pytest.mark.parametrize("posterior", DENSE)
@pytest.mark.parametrize("below", ["prior@latents.below=gaussian", "prior@latents.below=flow"])
def test_draws_come_first_at_every_level_and_rows_are_independent(posterior, below):
    vae, objective = build(BINARY, *LADDER, f"posterior={posterior}", below, *FLOWS.get(below, []))
    batch = examples(BINARY, 5)
    step(vae, objective, batch)
    vae = vae.double()
    x = batch.x.double()
    with torch.no_grad():
        features = vae.encoder(x)
        whole = vae.infer(features, 3)
        # each draw of each row separately, given its z
        for k, row in ((0, 0), (2, 3), (1, 4)):
            state = None
            for level, drawn in zip(vae.latents.levels, whole.steps, strict=True):
                q, p = level.infer(features[row : row + 1], state), level.generate(state)
                z = drawn.z[k, row][None]
                assert drawn.z.shape == (3, 5, *level.space.shape)
                torch.testing.assert_close(q.log_prob(z)[0], drawn.q.log_prob(drawn.z)[k, row])
                torch.testing.assert_close(p.log_prob(z).reshape(()), drawn.p.log_prob(drawn.z)[k, row])
                state = level.merge(state, z)
            torch.testing.assert_close(state[0], whole.state[k, row])


def test_every_weight_learns_once_the_priors_have_left_where_they_start():
    for tower in (
        ["prior=vamp", "prior.components=4"],
        ["prior@latents.below=flow", *FLOWS["prior@latents.below=flow"]],
    ):
        vae, objective = build(BINARY, *LADDER, *tower)
        step(vae, objective, examples(BINARY, 5))
        vae.zero_grad()
        objective(vae(examples(BINARY, 5), 2), None).mean().backward()
        assert [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_replaying_a_draw_meets_the_same_state_and_the_same_priors(vae):
    with torch.no_grad():
        draw = vae.infer(vae.encoder(examples(BINARY, 5, dtype=torch.float64).x), 3)
        again = vae.replay([each.z for each in draw.steps])
    torch.testing.assert_close(again.state, draw.state)
    for one, other in zip(draw.steps, again.steps, strict=True):
        torch.testing.assert_close(one.p.log_prob(one.z), other.p.log_prob(other.z).expand(3, 5))


def test_dimensions_shrink_towards_the_top():
    vae, _ = build(BINARY, *LADDER, "latents.dim=10")
    assert [level.space.shape for level in vae.latents.levels] == [(2,), (5,), (10,)]
    vae, _ = build(BINARY, *LADDER, "latents.levels=5")
    assert [level.space.size for level in vae.latents.levels] == [1, 1, 1, 2, 4]


def linear_ladder():
    """z_2 ~ N(0, I), z_1 ~ N(A z_2 + a, s^2), x = W_1 z_1 + W_2 z_2 + b + sigma e: the VAE, with a posterior as good as
    diagonal ones can be, and p(x)."""
    linear = ("model=mlp_vae", "network.hidden=[]", "likelihood=gaussian", "likelihood.value=0.6", "latents=ladder")
    vae, _ = build(VECTORS, *linear, "latents.levels=2", "latents.ratio=1", "latents.dim=2", "latents.width=2")
    torch.manual_seed(3)
    top, low = vae.latents.levels
    top.state_mlp = torch.nn.Identity()  # the state is z_2 itself,
    vae.encoder.steps[0] = torch.nn.Identity()  # the features x, for both,
    low.posterior_mlp = torch.nn.Identity()  # and the lower posterior reads (x, z_2)
    top.feature_slice, top.posterior, low.posterior = slice(6, 12), Gaussian((6,), top.space), Gaussian((8,), low.space)
    vae, eye = vae.double(), torch.eye(6, dtype=torch.float64)
    with torch.no_grad():
        weight, bias = vae.likelihood.network.body[1].weight.mul_(0.7), vae.likelihood.bias.normal_().flatten()
        a, offset = low.prior.head.weight[:2].normal_(), low.prior.head.bias[:2].normal_()
        scale, sigma = torch.tensor([0.8, 1.2]).double(), vae.likelihood.log_scale.exp() + 1e-3
        low.prior.head.bias[2:] = scale.log()
        w1, w2 = weight[:, :2], weight[:, 2:]
        mean, through = w1 @ offset + bias, w1 @ a + w2
        noise = w1 @ scale.square().diag() @ w1.T + sigma**2 * eye
        covariance = through @ through.T + noise
        gain = through.T @ covariance.inverse()  # of z_2 given x
        write(top.posterior, gain, -gain @ mean, torch.eye(2) - gain @ through)
        gain = scale.square().diag() @ w1.T @ noise.inverse()  # of z_1 given x and z_2
        rest = scale.square().diag() - gain @ w1 @ scale.square().diag()
        write(low.posterior, torch.cat([gain, a - gain @ through], 1), offset - gain @ mean, rest)
    return vae, MultivariateNormal(mean, covariance)


def write(posterior, weight, bias, covariance):
    """Let it be N(weight context + bias, the diagonal that covers `covariance`)."""
    posterior.head.weight.zero_()
    posterior.head.weight[:2], posterior.head.bias[:2] = weight, bias
    posterior.head.bias[2:] = covariance.diagonal().sqrt().log()


def test_linear_gaussian_nll_of_two_levels_is_its_closed_form():
    vae, truth = linear_ladder()
    torch.manual_seed(0)
    x = truth.sample((10,))
    torch.testing.assert_close(vae.log_likelihood(x, 20_000), truth.log_prob(x), atol=0.03, rtol=0)
    one = vae.log_likelihood(x, 1)
    assert (truth.log_prob(x) - one).mean() < 1, "and the posterior is close to exact"


def test_linear_gaussian_samples_of_two_levels_have_their_covariance():
    vae, truth = linear_ladder()
    torch.manual_seed(0)
    x = vae.sample(200_000, draw=True)
    torch.testing.assert_close(x.mean(0), truth.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(x.T.cov(), truth.covariance_matrix, atol=0.05, rtol=0)


@pytest.mark.parametrize("below", ["gaussian", "flow"])
def test_a_conditional_prior_integrates_to_one_and_depends_on_the_state(below):
    chosen = f"prior@latents.below={below}"
    vae, objective = build(BINARY, *LADDER, "latents.dim=2", chosen, *FLOWS.get(chosen, []))
    step(vae, objective, examples(BINARY, 5))
    level = vae.double().latents.levels[-1]
    points, cells = grid(level.space)
    with torch.no_grad():
        density = level.generate(torch.randn(4, 8).double()).log_prob(points[:, None].expand(-1, 4, -1))
    mass = (density.exp() * cells[:, None]).sum(0)
    torch.testing.assert_close(mass, torch.ones(4, dtype=torch.float64), atol=2e-3, rtol=0)
    assert (density[:, 0] - density[:, 1]).abs().max() > 1e-3


def test_the_vamp_prior_at_the_top_is_the_tops_posterior():
    vae, _ = build(BINARY, *LADDER, "prior=vamp", "prior.components=4")
    top = vae.latents.levels[0]
    q = top.infer(vae.encoder(top.prior.pseudo_inputs.sigmoid()), None)
    torch.testing.assert_close(top.generate(None).component_distribution.mean, q.mean)
    assert q.mean.shape == (4, 1)


@pytest.mark.long
def test_each_level_has_a_rate_that_is_right_on_average(vae, monkeypatch):
    batch = examples(BINARY, 5, dtype=torch.float64)
    torch.manual_seed(0)
    with torch.no_grad():
        closed = vae(batch, 20_000).rates
        monkeypatch.setattr("vaekit.terms.closed_form_kl", lambda q, p: None)
        drawn = vae(batch, 20_000).rates
    assert [rate.shape for rate in closed] == [(5,), (5,), (5,)]
    assert all((rate > 0).all() for rate in closed)
    torch.testing.assert_close(torch.stack(drawn), torch.stack(closed), atol=0.06, rtol=0)


def test_each_level_has_a_temperature_of_its_own(vae):
    def z(temperature):
        return [each.z for each in vae.generate(500, temperature).steps]

    for low, high in zip(z([0, 0, 0]), z(0.0), strict=True):
        assert torch.equal(low, high) and (low == low[0]).all()
    top, *rest = z([1, 0, 0])
    assert top.std(0).min() > 0.9
    state = vae.latents.levels[0].merge(None, top)
    torch.testing.assert_close(rest[0], vae.latents.levels[1].generate(state).mean)
    assert 0.05 < z([0, 0.1, 1])[1].std(0).mean() < 0.15
    assert vae.sample(3, temperature=[1, 0.5, 0]).shape == (3, 1, 8, 8)
    features = vae.encoder(examples(BINARY, 2, dtype=torch.float64).x)
    assert (vae.infer(features, 4, [0, 0, 0]).state.std(0) < 1e-6).all()
    with pytest.raises(Refusal, match="2 temperatures, expected 3"):
        vae.generate(1, [1.0, 1.0])


def test_a_reconstruction_from_the_top_levels_only(vae):
    x = examples(BINARY, 4, dtype=torch.float64).x
    encoded = vae.encode(x)
    assert [z.shape for z in encoded] == [(4, 4), (4, 4), (4, 4)]
    assert torch.equal(vae.reconstruct(x), vae.reconstruct(x, levels=3))
    top, middle, low = vae.encode(x, levels=1)
    assert torch.equal(top, encoded[0])
    replayed = vae.replay([top, middle, low]).steps
    torch.testing.assert_close(middle, replayed[1].p.mean)
    torch.testing.assert_close(low, replayed[2].p.mean)
    torch.testing.assert_close(vae.reconstruct(x, levels=1), vae.decode([top, middle, low]))
    for levels in (0, 4):
        with pytest.raises(Refusal, match="between 1 and 3"):
            vae.reconstruct(x, levels)


def test_other_vae_methods_work(vae):
    x = examples(BINARY, 4, dtype=torch.float64).x
    assert vae.interpolate(x[:2], x[2:], steps=5).shape == (2, 5, 1, 8, 8)
    torch.testing.assert_close(vae.interpolate(x[:2], x[2:], steps=5)[:, -1], vae.reconstruct(x[2:]))
    assert vae.vary(x, 3).shape == (4, 3, 1, 8, 8)
    one, many = vae.log_likelihood(x, 1).mean(), vae.log_likelihood(x, 300).mean()
    assert math.isfinite(one) and many > one


def test_a_level_reads_no_features_but_its_own():
    vae, _ = build(BINARY, *LADDER)
    features, state = torch.randn(2, 16 + 8 + 8), torch.randn(2, 8)
    for height, level in enumerate(reversed(vae.latents.levels)):
        reads = torch.autograd.functional.jacobian(
            lambda f, level=level, height=height: level.infer(f, None if height == 2 else state).mean.sum(0), features
        )
        used = reads.abs().sum((0, 1)) > 0
        assert used.tolist() == [start == height for start, n in enumerate((16, 8, 8)) for _ in range(n)]


REFUSED = {
    "posterior=dirac objective=reconstruction": "posterior=gaussian",
    "posterior=hamiltonian": "posterior=gaussian",
    "posterior=von_mises_fisher prior=sphere_uniform": "latents=single",
    "posterior=wrapped_normal prior=wrapped_normal": "latents=single",
    "prior@latents.below=mixture": "prior@latents.below=flow",
    "prior@latents.below=vamp": "prior@latents.below=gaussian",
    "latents.dim=0": "latents.dim=32",
    "latents.levels=0": "latents.levels=3",
    "latents.ratio=0": "latents.ratio=2",
    "latents.width=0": "latents.width=256",
    "objective=sticking_the_landing": "latents=single",
    "objective=prior_only prior=flow": "latents=single",
    "penalty=mmd": "latents=single",
}


@pytest.mark.parametrize("choices", REFUSED)
def test_invalid_settings_are_refused_with_valid_ones(choices):
    with pytest.raises(Refusal, match=REFUSED[choices]):
        build(BINARY, *LADDER, *choices.split())


@pytest.mark.long
def test_eligible_posteriors_have_a_density_over_real_numbers():
    served = set()
    for name in options("posterior"):
        try:
            build(BINARY, *LADDER, f"posterior={name}")
        except Refusal:
            continue
        served.add(name)
    assert served == set(DENSE)


def test_a_single_level_passes_z_to_the_likelihood():
    (level,) = build(BINARY, *SMALL)[0].latents.levels
    assert isinstance(level, LevelBlock)
    z = torch.randn(4, 4)
    assert level.merge(None, z) is z


def test_a_draw_is_steps_and_a_state(vae):
    draw = vae.generate(2)
    assert isinstance(draw, Draw) and all(isinstance(each, Step) and each.q is None for each in draw.steps)
    assert draw.state.shape == (2, *vae.latents.out_shape)
