"""Experts of an image and its label, compared with numerically integrated products and mixtures."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal

from helpers import GRAY, PAIRS, build, examples
from vaekit.batch import Batch
from vaekit.objectives.miwae import MIWAE
from vaekit.posteriors.product_of_experts import ProductOfExperts
from vaekit.refusal import Refusal

SMALL = ("network.image.hidden=[16]", "network.label=8", "latents.dim=1")


def posterior(preset):
    """A posterior that has moved from where it starts, in double precision, its VAE, and x: both, one alone, none."""
    vae, _ = build(PAIRS, f"model={preset}", "data=paired", *SMALL)
    vae.double()
    q = vae.latents.levels[0].posterior
    with torch.no_grad():
        for p in q.parameters():
            p.add_(0.3 * torch.randn_like(p))
    x = examples(PAIRS, 3, dtype=torch.float64).x[:1]
    return q, vae, torch.cat([x, PAIRS.keep_modality(x, 0), PAIRS.keep_modality(x, 1), 0 * x])


def expert(q, vae, x, number):
    loc, precision, _ = q.experts(vae.encoder(x).flatten(1))
    loc, precision = loc[0, number, 0], precision[0, number, 0]
    if isinstance(q, ProductOfExperts):  # which the precision weighs already
        loc = loc / precision
    return Normal(loc, precision.rsqrt())


GRID = torch.linspace(-15, 15, 20_001, dtype=torch.float64)


def normalized(*factors):
    """The normalized product of densities, on the grid."""
    density = sum(each.log_prob(GRID) for each in factors).exp()
    return density / torch.trapezoid(density, GRID)


def density(q, vae, x):
    return q(vae.encoder(x).flatten(1)).log_prob(GRID[:, None, None].expand(-1, len(x), 1)).exp().T


def factors(q, vae, x):
    prior = Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    return prior, expert(q, vae, x[:1], 0), expert(q, vae, x[:1], 1)


def test_a_product_is_of_the_observed_experts_and_the_prior():
    q, vae, x = posterior("mvae")
    prior, image, label = factors(q, vae, x)
    expected = [(prior, image, label), (prior, image), (prior, label), (prior,)]
    for found, each in zip(density(q, vae, x), expected, strict=True):
        torch.testing.assert_close(found, normalized(*each), atol=1e-6, rtol=0)


def test_a_mixture_is_of_the_observed_experts():
    q, vae, x = posterior("mmvae")
    prior, image, label = (normalized(each) for each in factors(q, vae, x))
    for found, each in zip(density(q, vae, x), [(image + label) / 2, image, label, prior], strict=True):
        torch.testing.assert_close(found, each, atol=1e-6, rtol=0)


def test_a_mixture_of_products_is_of_all_observed_subsets():
    q, vae, x = posterior("mopoe")
    prior, image, label = factors(q, vae, x)
    both = (normalized(image) + normalized(label) + normalized(image, label)) / 3
    expected = [both, normalized(image), normalized(label), normalized(prior)]
    for found, each in zip(density(q, vae, x), expected, strict=True):
        torch.testing.assert_close(found, each, atol=1e-6, rtol=0)


def test_the_bound_of_a_mixture_of_experts_has_draws_of_one_expert_in_each_logarithm():
    """Shi et al. 2019, section 3.1: 1/M sum_m E log 1/K sum_k p(x, z) / q(z | x), z of expert m, q of them all."""
    q, vae, x = posterior("mmvae")
    with torch.no_grad():
        for head, at in zip(q.heads, (-4.0, 4.0), strict=True):  # far enough apart to be distinguished by the sign
            head.weight.zero_()
            head.bias.copy_(torch.tensor([at, 0.0]))
    terms = vae(Batch(x[:1]), 6)
    z = terms.steps[0].z[:, 0, 0]
    log_w = terms.log_px[:, 0] + Normal(0.0, 1.0).log_prob(z)
    log_w = log_w - (Normal(-4.0, 1.0).log_prob(z).exp() / 2 + Normal(4.0, 1.0).log_prob(z).exp() / 2).log()
    groups = [log_w[z < 0], log_w[z > 0]]
    assert [len(each) for each in groups] == [3, 3]
    bound = sum(each.logsumexp(0) - torch.tensor(3.0).log() for each in groups) / 2
    torch.testing.assert_close(MIWAE(2, 3)(terms, None)[0], -bound)


@pytest.mark.parametrize("preset", ["mvae", "mmvae", "mopoe"])
def test_rows_are_independent_and_missing_modalities_have_no_effect(preset):
    q, vae, x = posterior(preset)
    together = density(q, vae, x)
    torch.testing.assert_close(torch.cat([density(q, vae, row[None]) for row in x]), together)
    other = examples(PAIRS, 3, seed=5, dtype=torch.float64).x[:1]
    mixed = torch.where(PAIRS.per_value(torch.tensor([True, False])), x[:1], other)
    torch.testing.assert_close(density(q, vae, PAIRS.keep_modality(mixed, 0))[0], together[1])


REFUSED = {
    "network=mlp": "network=paired data=paired",
    "latents=ladder": "latents=single",
    "condition=label": "reads no condition",
    "prior=vamp": "prior=exemplar",
    "posterior=mixture_of_experts objective=dreg": "objective=miwae objective.outer=2",
    "posterior=mixture_of_products objective=vimco": "objective=miwae objective.outer=2",
    "network@network.image=pyramid": "expected a vector",
    "network.label=0": "network.label=256",
}


@pytest.mark.parametrize("choices", REFUSED)
def test_invalid_settings_are_refused_with_valid_ones(choices):
    small = () if "network" in choices else SMALL
    with pytest.raises(Refusal, match=REFUSED[choices]):
        build(PAIRS, "model=mvae", "data=paired", "penalty=[]", *small, *choices.split())


def test_gray_images_are_refused():
    with pytest.raises(Refusal, match=r"data\.binarize=dynamic"):
        build(replace(PAIRS, image=GRAY), "model=mvae", "data=paired", *SMALL)
