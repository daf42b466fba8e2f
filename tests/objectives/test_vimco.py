"""VIMCO's gradient, exactly: by enumeration of all draws."""

import itertools
import math

import pytest
import torch

from helpers import BINARY, GRAY, build, examples
from vaekit.objectives.iwae import IWAE
from vaekit.objectives.vimco import VIMCO, without_each
from vaekit.refusal import Refusal, located
from vaekit.terms import Terms

BITS = ("model=bernoulli_vae", "likelihood=bernoulli", "network.hidden=[8]", "latents.dim=2")


def terms_at(vae, batch, zs):
    """`Terms` of the draws `zs`, a `[B, ...]` for each of K."""
    draw = vae.infer(vae.encoder(batch.x), len(zs))
    (step,) = draw.steps
    z = torch.stack(zs).requires_grad_()
    px = vae.likelihood(z)
    return Terms(batch, [type(step)(z, step.q, step.p)], px, px.log_prob(batch.x))


@pytest.mark.parametrize("samples", [2, 3])
def test_the_gradient_is_right_on_average(samples):
    """Four z a draw: the mean over all draws of the estimate, and the gradient of the mean over all draws."""
    vae, _ = build(BINARY, *BITS)
    vae.double()
    with torch.no_grad():
        for p in vae.parameters():
            p.add_(0.3 * torch.randn_like(p))
    batch, objective = examples(BINARY, 1, dtype=torch.float64), VIMCO(samples)
    every = [torch.tensor([bits], dtype=torch.float64) for bits in itertools.product((0, 1), repeat=2)]
    weights = [*vae.parameters()]
    estimate = [torch.zeros_like(p) for p in weights]
    exact = torch.zeros((), dtype=torch.float64)
    for zs in itertools.product(every, repeat=samples):
        terms = terms_at(vae, batch, zs)
        probability = terms.log_qz[0].sum().exp()
        grads = torch.autograd.grad(objective(terms, None).sum(), weights, retain_graph=True)
        estimate = [sum_ + probability.detach() * grad for sum_, grad in zip(estimate, grads, strict=True)]
        exact = exact - probability * (terms.log_w.logsumexp(0) - math.log(samples)).sum()
    for found, expected in zip(estimate, torch.autograd.grad(exact, weights), strict=True):
        torch.testing.assert_close(found, expected)
        assert expected.abs().sum() > 0


@pytest.mark.long
def test_the_loss_is_the_importance_weighted_one():
    vae, objective = build(GRAY, *BITS[:1], "likelihood=categorical", "network.hidden=[8]", "objective.num_samples=5")
    terms = vae(examples(GRAY, 4), 5)
    torch.testing.assert_close(objective(terms, None), IWAE(5)(terms, None))


def test_the_baseline_of_a_draw_does_not_depend_on_it():
    log_w = torch.randn(4, 3, dtype=torch.float64)
    others = without_each(log_w)
    changed = log_w.clone()
    changed[2] += 5
    torch.testing.assert_close(without_each(changed)[2], others[2])
    by_hand = torch.cat([log_w[1:], log_w[1:].mean(0, keepdim=True)]).logsumexp(0) - math.log(4)
    torch.testing.assert_close(others[0], by_hand)


def test_vimco_with_one_draw_is_refused():
    with located("objective"), pytest.raises(Refusal, match=r"use objective\.num_samples=10"):
        VIMCO(1)


@pytest.mark.parametrize("posterior", ["bernoulli", "gumbel", "gaussian"])
def test_it_trains_what_has_a_density(posterior):
    prior = "standard_normal" if posterior == "gaussian" else "code_uniform"
    vae, objective = build(
        BINARY, "model=mlp_vae", "likelihood=bernoulli", "network.hidden=[8]", "latents.dim=8", "objective=vimco",
        f"posterior={posterior}", f"prior={prior}",
    )  # fmt: skip
    batch = examples(BINARY, 50)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = objective(vae(batch, objective.num_samples), None).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5]) - 5


def test_relaxed_draws_are_not_scored_by_the_choice():
    words = ("model=gumbel_vae", "likelihood=bernoulli", "network.hidden=[8]", "objective=vimco")
    with pytest.raises(Refusal, match="density"):
        build(BINARY, *words, "posterior.hard=false")
