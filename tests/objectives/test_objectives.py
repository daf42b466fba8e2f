"""Bounds and gradient estimators: identities between them, and each gradient against autograd."""

import math
from types import SimpleNamespace

import pytest
import torch

from helpers import BINARY, SMALL, build, examples
from vaekit.batch import Batch
from vaekit.objectives.elbo import ELBO, balance_weights
from vaekit.objectives.iwae import IWAE
from vaekit.objectives.piwae import PIWAE
from vaekit.objectives.reweighted_wake_sleep import ReweightedWakeSleep
from vaekit.objectives.vimco import VIMCO, without_each
from vaekit.refusal import Refusal, located
from vaekit.schedules.linear import Linear
from vaekit.schedules.schedule import at

GRADIENTS = ("standard", "stl", "dreg")


@pytest.fixture
def vae():
    return build(BINARY, "model=mlp_vae", *SMALL)[0].double()


@pytest.fixture
def batch():
    return examples(BINARY, 6, dtype=torch.float64)


def terms(vae, batch, k, seed=0):
    torch.manual_seed(seed)
    return vae(batch, k)


def gradient(loss, parameters):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(parameters), retain_graph=True)])


def test_elbo_is_distortion_plus_rate(vae, batch):
    drawn = terms(vae, batch, 3)
    torch.testing.assert_close(ELBO()(drawn, None), -drawn.elbo)
    torch.testing.assert_close(ELBO(beta=4.0)(drawn, None), drawn.distortion + 4 * drawn.rate)


def test_free_bits_cost_nothing_more_below_the_bound(vae, batch):
    drawn = terms(vae, batch, 1)
    generous = drawn.rate.max().item() + 1
    torch.testing.assert_close(ELBO(free_bits=generous)(drawn, None), drawn.distortion + generous)
    torch.testing.assert_close(ELBO(free_bits=1e-9)(drawn, None), ELBO()(drawn, None))


def test_validation_uses_the_final_value_of_a_schedule(vae, batch):
    drawn = terms(vae, batch, 1)
    objective = ELBO(beta=Linear(2.0, start=0.0, epochs=10))
    torch.testing.assert_close(objective(drawn, 0.0), drawn.distortion)
    torch.testing.assert_close(objective(drawn, 5.0), drawn.distortion + drawn.rate)
    torch.testing.assert_close(objective(drawn, None), drawn.distortion + 2 * drawn.rate)


def test_levels_whose_drawn_rate_is_negative_weigh_by_its_size():
    levels = SimpleNamespace(steps=[SimpleNamespace(z=torch.zeros(1, 4, size)) for size in (2, 3)])
    rates = torch.tensor([[-3.0, -1.0, 1.0, -2.0], [2.0, 1.0, 4.0, 3.0]])
    torch.testing.assert_close(balance_weights(levels, rates), balance_weights(levels, rates.abs()))


def test_levels_are_balanced_by_their_nats_per_dimension():
    """The weights of Vahdat and Kautz 2020, section 3.3: proportional to the rate per dimension, with mean 1."""
    levels = SimpleNamespace(steps=[SimpleNamespace(z=torch.zeros(1, 4, size)) for size in (2, 8)])
    weights = balance_weights(levels, torch.tensor([[3.99] * 4, [7.99] * 4]))  # 2 nats per dimension, and 1
    torch.testing.assert_close(weights, torch.tensor([[4 / 3], [2 / 3]]))


def test_iwae_of_one_sample_is_the_elbo_of_that_sample(vae, batch):
    drawn = terms(vae, batch, 1)
    sampled = -drawn.log_px[0] + drawn.log_qz[0][0] - drawn.log_pz[0][0]
    torch.testing.assert_close(IWAE(1)(drawn, None), sampled)


def test_iwae_is_the_mean_of_the_weights_not_of_the_losses(vae, batch):
    drawn = terms(vae, batch, 5)
    by_hand = torch.stack(
        [torch.stack([(drawn.log_w[k, b]).exp() for k in range(5)]).mean().log() for b in range(len(batch))]
    )
    torch.testing.assert_close(-IWAE(5)(drawn, None), by_hand)


def test_iwae_grows_with_the_number_of_samples(vae, batch):
    many = Batch(batch.x.repeat(200, 1, 1, 1))
    bounds = [-IWAE(k)(terms(vae, many, k), None).mean().item() for k in (1, 5, 50)]
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("name", GRADIENTS)
def test_estimators_share_the_value(vae, batch, name):
    torch.testing.assert_close(IWAE(7, name)(terms(vae, batch, 7), None), IWAE(7)(terms(vae, batch, 7), None))


def reference(vae, batch, k, name):
    """The estimators from their papers' equations, by re-evaluation: z and the weights held fixed where they say so."""
    torch.manual_seed(0)
    q = vae.latents.levels[0].posterior(vae.encoder(batch.x))
    noise = torch.randn(k, len(batch), 3, dtype=torch.float64)
    z = q.base_dist.loc + q.base_dist.scale * noise
    frozen = torch.distributions.Independent(
        torch.distributions.Normal(q.base_dist.loc.detach(), q.base_dist.scale.detach()), 1
    )
    p = vae.latents.levels[0].prior(None)
    log_w = vae.likelihood(z).log_prob(batch.x) + p.log_prob(z)
    weights = (log_w - frozen.log_prob(z)).detach().softmax(0)
    if name == "standard":
        weighted = (weights * (log_w - q.log_prob(z))).sum()  # Burda et al., equation 14
    elif name == "stl":
        weighted = (weights * (log_w - frozen.log_prob(z))).sum()
    else:
        weighted = (weights**2 * (log_w - frozen.log_prob(z))).sum()  # Tucker et al., equation 8
    return -gradient(weighted, [*vae.encoder.parameters(), *vae.latents.parameters()])


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_of_the_posterior_is_the_papers(vae, batch, name):
    ours = gradient(
        IWAE(4, name)(terms(vae, batch, 4), None).sum(), [*vae.encoder.parameters(), *vae.latents.parameters()]
    )
    torch.testing.assert_close(ours, reference(vae, batch, 4, name))


def loose(log_w):
    """The weights of MIWAE(2, 2), by the groups' own normalization."""
    return log_w.unflatten(0, (2, 2)).softmax(0).flatten(0, 1) / 2


PATH_AND_SCORE = {  # what each estimator multiplies the path through z of log p(x, z) / q(z | x) by, and log q's score
    "stl": (lambda log_w: log_w.softmax(0), lambda log_w: 0 * log_w),
    "dreg": (lambda log_w: log_w.softmax(0).square(), lambda log_w: 0 * log_w),
    "piwae": (loose, lambda log_w: -loose(log_w)),
    "reweighted_wake_sleep": (lambda log_w: 0 * log_w, lambda log_w: log_w.softmax(0)),
    "vimco": (
        lambda log_w: 0 * log_w,
        lambda log_w: log_w.logsumexp(0) - math.log(4) - without_each(log_w) - log_w.softmax(0),
    ),
}
ESTIMATORS = {
    "stl": IWAE(4, "stl"),
    "dreg": IWAE(4, "dreg"),
    "piwae": PIWAE(2, 2),
    "reweighted_wake_sleep": ReweightedWakeSleep(4),
    "vimco": VIMCO(4),
}


@pytest.mark.parametrize("posterior", ["gaussian", "planar", "flow"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_path_and_score_gradients_are_right_despite_cached_draws(name, posterior):
    """By the chain rule, with z cut off from what drew it."""
    narrow = ("posterior.flow.hidden_features=[8]", "posterior.context=4") if posterior == "flow" else ()
    vae = build(BINARY, "model=mlp_vae", "network.hidden=[]", "latents.dim=2", f"posterior={posterior}", *narrow)[0]
    weights = [*vae.double().latents.parameters()]
    with torch.no_grad():
        for p in weights:
            p.add_(0.05 * torch.randn_like(p))
    batch = examples(BINARY, 3, dtype=torch.float64)
    drawn = terms(vae, batch, 4)
    (step,) = drawn.steps
    z = step.z.detach().requires_grad_()
    log_q = step.q.log_prob(z)
    log_w = vae.likelihood(z).log_prob(batch.x) + step.p.log_prob(z) - log_q
    path, score = (factor(log_w.detach()) for factor in PATH_AND_SCORE[name])
    (slope,) = torch.autograd.grad((path * log_w).sum(), z, retain_graph=True)
    through_z = torch.autograd.grad(step.z, weights, slope, retain_graph=True)
    at_fixed_z = torch.autograd.grad((score * log_q).sum(), weights, retain_graph=True)
    expected = torch.cat([-(a + b).flatten() for a, b in zip(through_z, at_fixed_z, strict=True)])
    torch.testing.assert_close(gradient(ESTIMATORS[name](drawn, None).sum(), weights), expected)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_of_the_likelihood_is_the_same_for_all(vae, batch, name):
    standard = gradient(IWAE(4)(terms(vae, batch, 4), None).sum(), vae.likelihood.parameters())
    ours = gradient(IWAE(4, name)(terms(vae, batch, 4), None).sum(), vae.likelihood.parameters())
    torch.testing.assert_close(ours, standard)


@pytest.mark.parametrize("name", GRADIENTS)
def test_estimators_agree_on_average(name):
    """Unbiased estimators of one gradient, for a posterior that differs from the truth."""
    vae = build(BINARY, "model=mlp_vae", "network.hidden=[]", "latents.dim=1")[0].double()
    row = examples(BINARY, 1, dtype=torch.float64)
    many = Batch(row.x.expand(20_000, -1, -1, -1))
    head = vae.latents.levels[0].posterior.head.bias

    def mean_gradient(estimator, seed):
        return torch.autograd.grad(IWAE(3, estimator)(terms(vae, many, 3, seed), None).mean(), head)[0]

    if name == "stl":  # unbiased for one sample alone (Tucker et al., section 4.1)
        bounds = [IWAE(1, each)(terms(vae, many, 1), None).mean() for each in ("standard", "stl")]
        torch.testing.assert_close(*[torch.autograd.grad(each, head)[0] for each in bounds], atol=0.05, rtol=0.05)
    else:
        torch.testing.assert_close(mean_gradient(name, 1), mean_gradient("standard", 2), atol=0.05, rtol=0.05)


def test_stl_and_dreg_have_no_noise_where_the_posterior_is_exact():
    """A silent likelihood makes the prior the true posterior: the path gradient vanishes, the score does not."""
    vae = build(BINARY, "model=mlp_vae", *SMALL)[0].double()
    head = vae.latents.levels[0].posterior.head
    with torch.no_grad():
        for p in [*vae.likelihood.network.parameters(), *head.parameters()]:
            p.zero_()
    batch = examples(BINARY, 8, dtype=torch.float64)
    noise = {
        name: torch.autograd.grad(IWAE(5, name)(terms(vae, batch, 5), None).sum(), head.bias)[0].abs().max().item()
        for name in GRADIENTS
    }
    assert noise["stl"] < 1e-12
    assert noise["dreg"] < 1e-12
    assert noise["standard"] > 1e-3


def test_losses_do_not_depend_on_the_batch(vae, batch):
    with torch.no_grad():
        vae.latents.levels[0].posterior.head.weight[3:].zero_()
        vae.latents.levels[0].posterior.head.bias[3:] = -60.0  # no noise: what is left must be equal
        whole = ELBO(free_bits=1.0)(vae(batch), None)
        parts = [ELBO(free_bits=1.0)(vae(Batch(row[None])), None) for row in batch.x]
    torch.testing.assert_close(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ELBO(beta=-1.0), r"objective\.beta"),
        (lambda: ELBO(free_bits=-1.0), r"objective\.free_bits"),
        (lambda: ELBO(num_samples=0), r"objective\.num_samples"),
        (lambda: IWAE(num_samples=0), r"objective\.num_samples"),
        (lambda: IWAE(gradient="best"), r"objective\.gradient"),
    ],
)
def test_invalid_settings_are_refused(make, says):
    with located("objective"), pytest.raises(Refusal, match=says):
        make()


def test_coefficients_may_be_numbers_or_schedules_in_the_configuration():
    plain = build(BINARY, "model=mlp_vae", *SMALL, "objective.beta=4")[1]
    warm = build(BINARY, "model=mlp_vae", *SMALL, "schedule@objective.beta=linear", "objective.beta.epochs=5")[1]
    assert at(plain.beta, 0.0) == 4
    assert warm.beta(2.5) == 0.5
    assert at(build(BINARY, "model=beta_vae", "network.channels=[4]")[1].beta, None) == 4
