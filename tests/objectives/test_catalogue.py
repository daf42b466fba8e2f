"""The importance-weighted family: identities between its members, and what each part maximizes."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal

from helpers import BINARY, SMALL, build, examples
from vaekit.batch import Batch
from vaekit.latents.tower import Step
from vaekit.objectives.ciwae import CIWAE
from vaekit.objectives.detached_prior import DetachedPrior
from vaekit.objectives.elbo import ELBO
from vaekit.objectives.iwae import IWAE
from vaekit.objectives.miwae import MIWAE
from vaekit.objectives.piwae import PIWAE
from vaekit.objectives.prior_only import PriorOnly
from vaekit.objectives.reconstruction import Reconstruction
from vaekit.objectives.renyi import Renyi
from vaekit.objectives.reweighted_wake_sleep import ReweightedWakeSleep
from vaekit.priors.standard_normal import StandardNormal
from vaekit.refusal import Refusal, located
from vaekit.terms import Terms


@pytest.fixture
def vae():
    return build(BINARY, "model=mlp_vae", *SMALL, "prior=gaussian", "likelihood=bernoulli")[0].double()


@pytest.mark.parametrize("gap", [0.0, 20.0, 49.0, 60.0, 90.0, 300.0, 5000.0])
@pytest.mark.parametrize(("outer", "inner"), [(2, 1), (2, 3)])
def test_piwaes_gradients_are_exact_however_far_apart_the_weights_are(gap, outer, inner):
    """log p(x, z) = -(z - a)^2 / 2 with `gap` added for the first group; q = N(m, s), in single precision."""
    noise = torch.tensor([0.3, -0.7, 1.1, 0.2, -0.4, 0.9])[: outer * inner].reshape(-1, 1, 1)
    apart = torch.zeros(inner, outer).index_fill(1, torch.tensor([0]), gap).reshape(-1, 1)

    def of(objective):
        m, log_s, a = (torch.tensor(value, requires_grad=True) for value in (0.5, -0.3, 0.1))
        q = Independent(Normal(m.expand(1, 1), log_s.exp()), 1)
        z = m + log_s.exp() * noise
        p = Independent(Normal(torch.zeros(1, 1), torch.ones(1, 1)), 1)
        log_px = apart - (z.squeeze(2) - a).square() / 2
        loss = objective(Terms(Batch(torch.zeros(1, 1)), [Step(z, q, p)], None, log_px), None)
        return torch.stack(torch.autograd.grad(loss.sum(), (m, log_s, a)))

    found, loose, tight = of(PIWAE(outer, inner)), of(MIWAE(outer, inner)), of(IWAE(outer * inner))
    torch.testing.assert_close(found[:2], loose[:2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[2], tight[2], atol=1e-5, rtol=1e-4)


@pytest.fixture
def batch():
    return examples(BINARY, 5, dtype=torch.float64)


def terms(vae, batch, k):
    torch.manual_seed(0)
    return vae(batch, k)


def gradients(vae, loss, retain=False):
    """The gradients for the weights of the posterior, and for those of likelihood and prior."""
    level = vae.latents.levels[0]
    posterior = [*vae.encoder.parameters(), *level.posterior.parameters()]
    rest = [*vae.likelihood.parameters(), *level.prior.parameters()]
    found = torch.autograd.grad(loss.sum(), [*posterior, *rest], allow_unused=True, retain_graph=retain)
    flat = [g.flatten() if g is not None else torch.zeros(0) for g in found]
    return torch.cat(flat[: len(posterior)]), torch.cat(flat[len(posterior) :])


def test_miwae_of_one_group_is_iwae(vae, batch):
    drawn = terms(vae, batch, 6)
    torch.testing.assert_close(MIWAE(1, 6)(drawn, None), IWAE(6)(drawn, None))


def test_miwae_of_groups_of_one_is_the_sampled_elbo(vae, batch):
    drawn = terms(vae, batch, 6)
    torch.testing.assert_close(MIWAE(6, 1)(drawn, None), -drawn.log_w.mean(0))


def test_ciwae_lies_between_its_ends(vae, batch):
    drawn = terms(vae, batch, 6)
    torch.testing.assert_close(CIWAE(0.0, 6)(drawn, None), IWAE(6)(drawn, None))
    torch.testing.assert_close(CIWAE(1.0, 6)(drawn, None), -drawn.log_w.mean(0))


def test_renyi_is_iwae_at_zero_and_the_elbo_at_one_and_falls_in_between(vae, batch):
    drawn = terms(vae, batch, 6)
    torch.testing.assert_close(Renyi(0.0, 6)(drawn, None), IWAE(6)(drawn, None))
    torch.testing.assert_close(Renyi(1.0, 6)(drawn, None), -drawn.log_w.mean(0))
    torch.testing.assert_close(Renyi(1 - 1e-6, 6)(drawn, None), -drawn.log_w.mean(0), atol=1e-4, rtol=0)
    losses = torch.stack([Renyi(alpha, 6)(drawn, None) for alpha in (-1.0, 0.0, 0.5, 0.9, 1.0)])
    assert (losses.diff(dim=0) > 0).all()


def test_piwae_has_the_iwae_gradient_for_the_likelihood_and_the_miwae_gradient_for_the_posterior(vae, batch):
    posterior, rest = gradients(vae, PIWAE(2, 3)(terms(vae, batch, 6), None))
    torch.testing.assert_close(posterior, gradients(vae, MIWAE(2, 3)(terms(vae, batch, 6), None))[0])
    torch.testing.assert_close(rest, gradients(vae, IWAE(6)(terms(vae, batch, 6), None))[1])
    torch.testing.assert_close(PIWAE(2, 3)(terms(vae, batch, 6), None), IWAE(6)(terms(vae, batch, 6), None))


def test_wake_sleep_has_the_gradient_of_the_weighted_log_posterior_at_fixed_z(vae, batch):
    posterior, rest = gradients(vae, ReweightedWakeSleep(6)(terms(vae, batch, 6), None))
    drawn = terms(vae, batch, 6)
    weights = drawn.log_w.detach().softmax(0)
    q = vae.latents.levels[0].posterior(vae.encoder(batch.x))
    wake = -(weights * q.log_prob(drawn.steps[0].z.detach())).sum(0)
    torch.testing.assert_close(posterior, gradients(vae, wake + 0 * drawn.log_px.detach().sum(0))[0])
    torch.testing.assert_close(rest, gradients(vae, IWAE(6)(terms(vae, batch, 6), None))[1])


def test_reconstruction_is_the_distortion_alone(vae, batch):
    drawn = terms(vae, batch, 3)
    torch.testing.assert_close(Reconstruction(3)(drawn, None), ELBO(beta=0.0, num_samples=3)(drawn, None))


def test_prior_only_moves_the_prior_alone(vae, batch):
    drawn = terms(vae, batch, 4)
    loss = PriorOnly(4)(drawn, None)
    torch.testing.assert_close(loss, -drawn.log_pz[0].mean(0))
    loss.sum().backward()
    moved = {name for name, p in vae.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved == {name for name, _ in vae.named_parameters() if ".prior." in name}


def test_a_detached_prior_learns_as_by_prior_only_and_the_vae_as_with_a_standard_normal(vae, batch):
    level = vae.latents.levels[0]
    with torch.no_grad():
        level.prior.loc.add_(1.0)  # away from the standard normal
    drawn, normal = terms(vae, batch, 4), StandardNormal(level.space).double()
    plain = replace(drawn, steps=[replace(drawn.steps[0], p=normal())])
    loss = DetachedPrior(beta=0.3, num_samples=4)(drawn, None)
    expected = ELBO(beta=0.3, num_samples=4)(plain, None) + PriorOnly(4)(drawn, None)
    torch.testing.assert_close(loss, expected)
    found, wanted = (torch.cat(gradients(vae, each, retain=True)) for each in (loss, expected))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MIWAE(0, 5),
        lambda: PIWAE(5, 0),
        lambda: CIWAE(-0.1),
        lambda: Renyi(num_samples=0),
        lambda: ReweightedWakeSleep(0),
        lambda: Reconstruction(0),
        lambda: PriorOnly(0),
    ],
)
def test_invalid_settings_are_refused(make):
    with located("objective"), pytest.raises(Refusal, match="objective"):
        make()
