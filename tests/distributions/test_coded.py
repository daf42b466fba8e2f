"""Distributions over codes, against an enumeration of all codes."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import kl_divergence

from vaekit.distributions.coded import Choice, Coded, Relaxed, nearest
from vaekit.distributions.kl import closed_form_kl
from vaekit.distributions.quantized import Quantized
from vaekit.distributions.temperature import tempered
from vaekit.refusal import Refusal
from vaekit.spaces import Codes

ATOMS = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]], dtype=torch.float64)
SPACE = Codes((4,), atoms=3, width=2, codebook=lambda: ATOMS)  # two positions, nine z
MAP = replace(SPACE, shape=(4, 2, 3))


def logits(*shape, seed=0):
    return 2 * torch.randn(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def every(q):
    """All z of SPACE, `[9, 1, 4]`."""
    return q.from_index(torch.tensor(list(itertools.product(range(3), repeat=2)))).unsqueeze(1)


def test_the_nearest_atom_is_the_same_where_networks_run_in_bf16():
    atoms = 20 + torch.randn(128, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest(atoms, atoms), torch.arange(128))


def test_points_lie_at_their_positions_in_vectors_and_in_maps():
    q = Choice(logits(5, 2, 2, 3), MAP)
    index = torch.randint(3, (5, 2, 2, 3))
    z = q.from_index(index)
    assert z.shape == (5, 4, 2, 3)
    assert torch.equal(z[1, 2:, 1, 2], ATOMS[index[1, 1, 1, 2]])
    assert torch.equal(q.index(z), index)
    assert torch.equal(MAP.array(MAP.points(z)), z)


def test_log_prob_is_that_of_each_choice_and_sums_to_one():
    q = Choice(logits(5, 2), SPACE)
    log_p = q.log_prob(every(q))
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(5, dtype=torch.float64))
    by_hand = q.logits[:, 0, 1] + q.logits[:, 1, 2]
    torch.testing.assert_close(q.log_prob(torch.tensor([2.0, -1.0, 0.5, 0.5], dtype=torch.float64)), by_hand)
    torch.testing.assert_close((log_p.exp().unsqueeze(-1) * every(q)).sum(0), q.mean)


@pytest.mark.parametrize("relaxed", [True, False])
def test_draws_are_atoms_that_follow_log_prob(relaxed):
    torch.manual_seed(0)
    scores = logits(5, 2)
    q = Relaxed(scores, SPACE, torch.tensor(0.5), hard=True) if relaxed else Choice(scores, SPACE)
    z = q.rsample(torch.Size([20_000]))
    assert torch.equal(q.from_index(q.index(z)), z)
    drawn = (z.unsqueeze(0) == every(q).unsqueeze(1)).all(-1).double().mean(1)
    assert (drawn - q.log_prob(every(q)).exp()).abs().max() < 0.02


def test_kl_by_enumeration():
    q, p = Choice(logits(5, 2), SPACE), Choice(logits(2, seed=1), SPACE)
    log_q, log_p = q.log_prob(every(q)), p.log_prob(every(q))
    torch.testing.assert_close(kl_divergence(q, p), (log_q.exp() * (log_q - log_p)).sum(0))


def test_a_straight_through_draw_has_the_gradient_of_the_mean():
    scores = logits(1, 2).requires_grad_()
    q = Choice(scores, SPACE)
    weights = torch.randn(4, dtype=torch.float64)
    drawn = torch.autograd.grad((q.rsample() * weights).sum(), scores)[0]
    expected = torch.autograd.grad((Choice(scores, SPACE).mean * weights).sum(), scores)[0]
    torch.testing.assert_close(drawn, expected)


def test_a_relaxed_draw_comes_near_an_atom_as_the_temperature_falls():
    torch.manual_seed(0)
    for temperature, distance in ((0.01, 0.01), (5.0, 0.6)):
        z = Relaxed(logits(1000, 2), SPACE, torch.tensor(temperature), False).rsample()
        away = (z - Choice(logits(1000, 2), SPACE).from_index(nearest(SPACE.points(z), ATOMS))).norm(dim=-1).mean()
        assert away < 0.05 if distance == 0.01 else away > distance


def test_a_relaxed_gradient_is_that_of_the_softmax():
    scores = logits(1, 2).requires_grad_()
    for hard in (True, False):
        torch.manual_seed(3)
        z = Relaxed(scores, SPACE, torch.tensor(0.7, dtype=torch.float64), hard).rsample()
        torch.manual_seed(3)
        noise = -torch.empty(1, 2, 3, dtype=torch.float64).exponential_().log()
        soft = ((scores.log_softmax(-1) + noise) / 0.7).softmax(-1) @ ATOMS
        first = torch.autograd.grad(z[0, 0], scores)[0]
        torch.testing.assert_close(first, torch.autograd.grad(soft[0, 0, 0], scores)[0])


def test_quantized_codes_have_probability_one():
    index = torch.tensor([[0, 1], [2, 2]])
    source = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    q, p = Quantized(index, SPACE, source), Choice(logits(2), SPACE)
    z = q.rsample(torch.Size([3]))
    assert torch.equal(q.index(z), index.expand(3, 2, 2))
    assert torch.equal(q.log_prob(z), torch.zeros(3, 2, dtype=torch.float64))
    assert torch.equal(q.log_prob(z.flip(1)), torch.full((3, 2), -math.inf, dtype=torch.float64))
    torch.testing.assert_close(closed_form_kl(q, p), -p.log_prob(z[0]))
    torch.testing.assert_close(torch.autograd.grad(z.sum(), source)[0], torch.full((2, 4), 3.0, dtype=torch.float64))


def test_distributions_keep_the_atoms_that_they_were_made_with():
    held = [ATOMS]
    space = replace(SPACE, codebook=lambda: held[0])
    q = Coded(Choice(logits(5, 2), SPACE).indices, space)
    z, before = q.sample(), q.log_prob(q.mode)
    held[0] = ATOMS.flip(0) + 1
    assert torch.equal(q.from_index(q.index(z)), z)
    assert torch.equal(q.log_prob(q.mode), before)


def test_temperature_divides_the_logits():
    q = Choice(logits(5, 2), SPACE)
    colder = tempered(q, 0.5)
    expected = Choice(2 * logits(5, 2), SPACE)
    torch.testing.assert_close(colder.log_prob(every(q)), expected.log_prob(every(q)))
    assert torch.equal(tempered(q, 0).sample((7,)), q.mode.expand(7, -1, -1))
    with pytest.raises(Refusal, match="Try temperature=1"):
        tempered(Quantized(torch.zeros(1, 2, dtype=torch.long), SPACE, torch.zeros(1, 4)), 0.5)


def test_expand_repeats_the_distribution():
    for q in (Choice(logits(2), SPACE), Coded(Choice(logits(2), SPACE).indices, SPACE)):
        wide = q.expand(torch.Size([4]))
        assert wide.batch_shape == (4,)
        assert wide.sample().shape == (4, 4)
        torch.testing.assert_close(wide.log_prob(every(q)[:, 0].unsqueeze(1)), q.log_prob(every(q)).expand(9, 4))
