"""The transformer over codes: one pass, step by step, and by enumeration, the same."""

import itertools
import math

import pytest
import torch

from helpers import BINARY, build, examples
from vaekit.distributions.sequence import Sequence
from vaekit.distributions.temperature import tempered
from vaekit.priors.autoregressive import Transformer

SMALL = ("prior.width=8", "prior.blocks=2", "prior.heads=2")


def sequence(positions=(2, 2, 1), atoms=3):
    torch.manual_seed(0)
    network = Transformer(atoms, math.prod(positions), width=8, blocks=2, heads=2).double()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.5 * torch.randn_like(p))
    return Sequence(network, positions)


def every(p, atoms=3):
    count = p.event_shape.numel()
    return torch.tensor(list(itertools.product(range(atoms), repeat=count))).unflatten(1, p.event_shape)


def test_probabilities_of_all_sequences_add_up_to_one_and_draws_follow_them():
    p = sequence()
    with torch.no_grad():
        mass = p.log_prob(every(p)).exp()
    assert abs(mass.sum().item() - 1) < 1e-9
    assert mass.max() / mass.min() > 5
    torch.manual_seed(1)
    drawn = p.sample(torch.Size([20_000]))
    assert drawn.shape == (20_000, 2, 2, 1)
    base = torch.tensor([27, 9, 3, 1])
    frequency = (drawn.flatten(1) * base).sum(1).bincount(minlength=81) / len(drawn)
    assert (frequency - mass).abs().max() < 0.012


def test_sequential_logits_equal_those_of_one_pass():
    p, numbers = sequence(), torch.randint(3, (5, 2, 2, 1))
    seen = []

    def pick(i, logits):
        seen.append(logits.log_softmax(-1).gather(1, numbers.flatten(1)[:, i : i + 1]).squeeze(1))
        return numbers.flatten(1)[:, i]

    assert torch.equal(p.sample_sequentially(5, pick), numbers)
    torch.testing.assert_close(torch.stack(seen).sum(0), p.log_prob(numbers).detach())


def test_each_number_depends_only_on_earlier_ones():
    p, numbers = sequence(), torch.randint(3, (1, 4))
    logits = p.network(numbers.roll(1, 1))[0]
    for changed in range(4):
        other = numbers.clone()
        other[0, changed] = (other[0, changed] + 1) % 3
        differs = (p.network(other.roll(1, 1))[0] != logits).flatten(2).any(-1)[0]
        assert differs.tolist() == [i > changed for i in range(4)]


def test_many_sequences_are_scored_in_parts(monkeypatch):
    p, numbers = sequence(), torch.randint(3, (7, 3, 2, 2, 1))
    whole = p.log_prob(numbers)
    assert whole.shape == (7, 3)
    monkeypatch.setattr("vaekit.distributions.sequence.CHUNK", 24)
    torch.testing.assert_close(p.log_prob(numbers), whole)


def test_a_low_temperature_takes_the_likeliest():
    p = sequence((1,))
    with torch.no_grad():
        likeliest = p.log_prob(torch.arange(3).unsqueeze(1)).argmax()
    assert (tempered(p, 0.01).sample(torch.Size([50])) == likeliest).all()


def test_temperature_0_takes_the_likeliest_of_each_given_those_before():
    p = sequence()
    cold = tempered(p, 0)
    greedy = p.sample_sequentially(50, lambda i, logits: logits.argmax(1))
    assert torch.equal(cold.sample((50,)), greedy)
    assert (cold.log_prob(greedy) == 0).all()


@pytest.mark.long
def test_it_learns_which_codes_go_together():
    """Trained alone, it comes near the entropy of codes that determine each other."""
    torch.manual_seed(0)
    network = Transformer(4, 6, width=16, blocks=2, heads=2)
    p, optimizer = Sequence(network, (6,)), torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        first = torch.randint(4, (64, 1))
        loss = -p.log_prob((first + torch.arange(6)) % 4).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < math.log(4) + 0.1


def test_the_rate_of_codes_is_what_the_prior_says():
    vae, objective = build(
        BINARY, "model=vq_vae", "likelihood=bernoulli", "network.channels=[4]", "prior=autoregressive", *SMALL
    )
    terms = vae.eval()(examples(BINARY, 5), 1)
    (step,) = terms.steps
    torch.testing.assert_close(terms.rate, -step.p.log_prob(step.z)[0])
    torch.testing.assert_close(terms.log_w[0], -objective(terms, None))
