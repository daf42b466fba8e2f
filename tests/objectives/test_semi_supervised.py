"""Few labels: the sum over all classes, and the loss of each kind of row."""

import math
from dataclasses import replace

import pytest
import torch

from helpers import BINARY, build, examples, step
from vaekit.objectives.elbo import ELBO
from vaekit.objectives.semi_supervised import SemiSupervised
from vaekit.refusal import Refusal

M2 = ("model=m2_vae", "network.hidden=[16]", "likelihood=bernoulli", "condition.classes=4")
TWO = ("latents@latents.given=ladder", "latents.given.dim=4", "latents.given.width=8", "latents.given.levels=2")
TOWERS = {
    "single": ("latents.given.dim=3",),
    "ladder": TWO,
    "stacked": (*TWO, "latents.given.stacked=true"),
}


def tiny(tower="single"):
    vae, objective = build(BINARY, *M2, *TOWERS[tower])
    step(vae, objective, replace(examples(BINARY, 4), label=torch.arange(4)), lr=0.01)
    return vae.double()


def labeled(label):
    return replace(examples(BINARY, len(label), dtype=torch.float64), label=torch.tensor(label))


@pytest.mark.parametrize("tower", TOWERS)
def test_the_enumerated_bound_is_the_sum_by_hand(tower):
    """sum_y q(y | x) (log p(x | y, z) + log p(y) - log q(y | x) - KL(q(z | x, y) || p(z | y))), one y at a time."""
    vae, batch = tiny(tower), labeled([-1, -1, -1])
    torch.manual_seed(0)
    terms = vae(batch, None)
    q_y = vae.latents.levels[0].infer(vae.encoder(batch.x), None).mean
    zs = [each.z for each in terms.steps]
    bound = torch.zeros(3).double()
    for y in range(4):
        given = vae.replay([z[min(y, len(z) - 1)] for z in zs[1:]], torch.full((3,), y))
        value = vae.likelihood(given.state).log_prob(batch.x) - math.log(4) - q_y[:, y].log()
        for level, now in enumerate(given.steps, 1):
            q = terms.steps[level].q.expand((4, 3)).base_dist
            p = now.p.expand((3,)).base_dist
            value = value - torch.distributions.kl_divergence(torch.distributions.Normal(q.loc[y], q.scale[y]), p).sum(
                -1
            )
        bound += q_y[:, y] * value
    torch.testing.assert_close(terms.elbo, bound)
    torch.testing.assert_close(SemiSupervised()(terms, 0.5), -bound)


@pytest.mark.long
@pytest.mark.parametrize("tower", TOWERS)
def test_the_loss_of_a_labeled_row_is_that_of_its_class_plus_the_classifier(tower):
    vae, batch = tiny(tower), labeled([2, 0, 3])
    terms = vae(batch, None)
    log_q = vae.latents.levels[0].infer(vae.encoder(batch.x), None).mean.log()[torch.arange(3), batch.label]
    without, alpha = SemiSupervised(alpha=0.0)(terms, 0.5), SemiSupervised(alpha=7.0)(terms, 0.5)
    torch.testing.assert_close(alpha - without, -7 * log_q)
    with torch.no_grad():  # -log p(x, y), of as many draws as make the bound exact
        vae.eval()
        loss = torch.stack([SemiSupervised(alpha=0.0)(vae(batch, None), 0.5) for _ in range(500)]).mean(0)
        elbo = [vae.terms(batch, vae.encoder(batch.x), 500, condition=batch.label).elbo]
    torch.testing.assert_close(loss, -elbo[0] + math.log(4), atol=0.4, rtol=0)


def test_without_labels_it_is_the_plain_elbo_in_expectation():
    """The expectation is over draws of y from q(y | x), in the same tower."""
    vae, batch = tiny(), labeled([-1] * 5)
    with torch.no_grad():
        summed = torch.stack([SemiSupervised()(vae(batch, None), 0.5) for _ in range(300)]).mean(0)
        drawn = ELBO()(vae(batch, 20_000), 0.5)
    torch.testing.assert_close(summed, drawn, atol=0.15, rtol=0)


def test_evaluation_uses_no_label():
    vae = tiny()
    for batch in (labeled([2, 0, 3]), labeled([-1, -1, -1])):
        torch.manual_seed(0)
        found = SemiSupervised()(vae(batch, None), None)
        torch.manual_seed(0)
        torch.testing.assert_close(found, -vae(batch, None).elbo)


def test_a_stacked_tower_decodes_each_row_once():
    vae, batch = tiny("stacked"), labeled([-1] * 5)
    terms = vae(batch, None)
    assert terms.px.batch_shape == (1, 5) and terms.log_w.shape == (4, 5)
    assert vae(batch, 3).px.batch_shape == (3, 5)


def test_importance_sampling_agrees_with_the_sum_over_classes():
    """log p(x) = log 1/4 sum_y p(x | y)."""
    vae, x = tiny(), examples(BINARY, 3, dtype=torch.float64).x
    torch.manual_seed(0)
    each = torch.stack([vae.log_likelihood(x, 5000, condition=y) for y in range(4)])
    torch.testing.assert_close(vae.log_likelihood(x, 20_000), each.logsumexp(0) - math.log(4), atol=0.03, rtol=0)


def test_every_weight_learns():
    for tower in TOWERS:
        vae, batch = tiny(tower), labeled([-1, 2, 0, -1])
        vae.zero_grad()
        SemiSupervised()(vae(batch, None), 0.5).mean().backward()
        assert [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_it_learns_to_classify():
    """Two kinds of images, one label each."""
    vae, objective = build(BINARY, *M2, *TOWERS["single"], "condition.classes=2")
    torch.manual_seed(0)
    kind = torch.arange(64) % 2
    p = torch.where(kind[:, None, None, None] == 0, 0.1, 0.9).expand(64, 1, 8, 8)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    for _ in range(60):
        label = torch.full((64,), -1)
        label[:2] = kind[:2]
        optimizer.zero_grad()
        objective(vae(replace(labeled([0]), x=p.bernoulli(), label=label), None), 0.5).mean().backward()
        optimizer.step()
    q = vae.latents.levels[0].infer(vae.encoder(p.bernoulli()), None)
    assert (q.mean.argmax(-1) == kind).float().mean() > 0.95


def test_invalid_numbers_are_refused():
    for setting in ({"alpha": -1.0}, {"beta": -0.1}):
        with pytest.raises(Refusal, match="at least 0"):
            SemiSupervised(**setting)
