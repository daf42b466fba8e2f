"""Every prior: a density over its space that its own samples follow."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Independent, Normal

from helpers import BINARY, SMALL, TABLE, build, examples
from spaces_of_z import grid, small_vae
from vaekit.batch import Batch
from vaekit.configs import options
from vaekit.distributions.estimated import Estimated
from vaekit.distributions.exemplars import Exemplars, leave_out

SLOW = {"flow_matching"}  # at hundreds of thousands of points
PRIORS = [pytest.param(name, marks=[pytest.mark.long] * (name in SLOW)) for name in sorted(options("prior"))]


@pytest.fixture(params=PRIORS)
def prior(request):
    torch.manual_seed(0)
    vae = small_vae("prior", request.param)
    with torch.no_grad():  # away from where it starts, which may be another prior's place
        for p in vae.latents.levels[0].prior.parameters():
            p.add_(0.03 * torch.randn_like(p))
        return vae.latents.levels[0].prior.eval()  # without dropout


def noise(prior):
    """Of an integral, where the density is an estimate that is right on average."""
    return 0.03 if isinstance(prior(None), Estimated) else 0.0


def test_density_integrates_to_one(prior):
    points, cells = grid(prior.space)
    with torch.no_grad():
        mass = (prior(None).log_prob(points).exp() * cells).sum().item()
    assert mass == pytest.approx(1, abs=2e-3 + noise(prior))


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
        error = 5 * drawn.std().item() / math.sqrt(len(z)) + 5e-3 + noise(prior)
        assert drawn.mean().item() == pytest.approx((f(points) * weight).sum().item(), abs=error)


OWN_NETWORK = ("autoregressive", "two_stage")  # which bf16 is for


@pytest.mark.parametrize("name", sorted(set(options("prior")) - set(OWN_NETWORK)))
def test_densities_are_exact_where_networks_run_in_bf16(name):
    p = small_vae("prior", name).float().latents.levels[0].generate(None)
    z = p.sample((20,))
    with torch.autocast("cpu", torch.bfloat16):
        halved = p.log_prob(z)
    torch.testing.assert_close(halved, p.log_prob(z))


def test_vamp_is_the_posterior_of_its_pseudo_inputs():
    vae = small_vae("prior", "vamp", "prior.components=1")
    prior = vae.latents.levels[0].prior
    z = torch.randn(7, 2, dtype=torch.float64)
    q = vae.latents.levels[0].posterior(vae.encoder(prior.pseudo_inputs.sigmoid()))
    torch.testing.assert_close(prior(None).log_prob(z), q.log_prob(z))


class Data:
    def sample(self, part, n):
        return replace(examples(BINARY, n, seed=3), row=torch.arange(n) + 100)


def test_vamp_and_exemplar_start_from_training_rows():
    vamp = small_vae("prior", "vamp", "prior.components=5").latents.levels[0].prior
    vamp.start_from(Data())
    assert torch.equal(vamp.pseudo_inputs.sigmoid().round(), examples(BINARY, 5, seed=3).x.double())
    exemplar = small_vae("prior", "exemplar", "prior.components=5").latents.levels[0].prior
    exemplar.start_from(Data())
    assert torch.equal(exemplar.rows, examples(BINARY, 5, seed=3).x.double())
    assert exemplar.row_numbers.tolist() == [100, 101, 102, 103, 104]


def test_a_training_row_is_not_its_own_exemplar():
    vae = small_vae("prior", "exemplar", "prior.components=5")
    prior = vae.latents.levels[0].prior
    prior.start_from(Data())
    batch = replace(examples(BINARY, 3), row=torch.tensor([102, 7, 100]))
    batch.x = batch.x.double()
    torch.manual_seed(0)
    terms = vae.train()(batch, 4)
    each = prior(None).component_distribution.log_prob(terms.steps[0].z.unsqueeze(2))  # [K, B, M]
    for b, others in enumerate(([0, 1, 3, 4], [0, 1, 2, 3, 4], [1, 2, 3, 4])):
        expected = each[:, b, others].logsumexp(-1) - math.log(len(others))
        torch.testing.assert_close(terms.log_pz[0][:, b], expected)
    torch.manual_seed(0)
    in_evaluation = vae.eval()(batch, 4)
    torch.testing.assert_close(in_evaluation.log_pz[0], each.logsumexp(-1) - math.log(5))


def test_the_only_exemplar_stays():
    p = Exemplars(Independent(Normal(torch.zeros(1, 2), 1.0), 1), torch.tensor([4]))
    assert torch.isfinite(leave_out(p, torch.tensor([4, 5])).log_prob(torch.zeros(2, 2))).all()


def test_pseudo_inputs_reach_what_is_beyond_0_and_1():
    vae, _ = build(TABLE, "model=mlp_vae", "likelihood=table", *SMALL, "prior=vamp", "prior.components=5")
    prior, rows = vae.latents.levels[0].prior, examples(TABLE, 5).x
    rows[:, 0] = 7 * torch.randn(5)  # a normal quantile
    prior.start_from(SimpleNamespace(sample=lambda part, n: Batch(rows[:n])))
    z = vae.latents.levels[0].posterior(vae.encoder(rows)).sample()
    by_hand = vae.latents.levels[0].posterior(vae.encoder(rows)).log_prob(z.unsqueeze(1)).logsumexp(1) - math.log(5)
    torch.testing.assert_close(prior(None).log_prob(z), by_hand)


NOISE = torch.randn(4000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CODES = torch.tensor([3.0, -1.0], dtype=torch.float64) + 0.5 * NOISE  # off the standard normal, and narrower


@pytest.mark.parametrize("name", ["gaussian", "mixture", "flow", "flow_matching"])
def test_priors_start_at_codes(name):
    torch.manual_seed(0)
    prior = small_vae("prior", name).latents.levels[0].prior
    before = prior(None).log_prob(CODES).mean()
    prior.start_at(CODES)
    assert prior(None).log_prob(CODES).mean() > before + 1
    if name == "gaussian":
        entropy = math.log(2 * math.pi * math.e * 0.25)
        assert prior(None).log_prob(CODES).mean().item() == pytest.approx(-entropy, abs=0.05)


def test_a_two_stage_prior_starts_from_codes_not_data():
    vae = small_vae("prior", "two_stage")
    vae.start_from(SimpleNamespace(mean=lambda: torch.full((1, 8, 8), 0.5), deviation=lambda: torch.ones(1, 8, 8)))
    prior = vae.latents.levels[0].prior
    assert not prior.second.likelihood.bias.any()
    prior.start_at(CODES)
    torch.testing.assert_close(prior.second.likelihood.bias[0], CODES.mean(0))


@pytest.mark.long
def test_the_estimate_of_two_stages_tightens_with_more_samples_and_reaches_a_plain_mean():
    torch.manual_seed(0)
    prior = small_vae("prior", "two_stage").latents.levels[0].prior
    z = torch.randn(5, 2, dtype=torch.float64)

    def mean_of(num_samples, repeats):
        prior.num_samples = num_samples
        return torch.stack([prior(None).log_prob(z) for _ in range(repeats)]).mean(0)

    with torch.no_grad():
        few, many, most = mean_of(1, 2000), mean_of(10, 200), mean_of(100_000, 1)
        pz = prior.second.likelihood(prior.second.generate(200_000).state)
        plain = torch.stack([pz.log_prob(each) for each in z]).logsumexp(1) - math.log(200_000)
    assert (few < many).all()
    assert (many < most + 0.02).all()
    torch.testing.assert_close(most, plain, atol=0.02, rtol=0)


def test_an_inverse_flow_draws_what_the_flow_scores():
    prior = small_vae("prior", "flow", "prior.inverse=true", "prior.flow._target_=zuko.flows.MAF")
    prior = prior.latents.levels[0].prior
    p = prior(None)
    z = p.sample((7,))
    torch.testing.assert_close(p.log_prob(z), p.log_prob(z.clone()))
