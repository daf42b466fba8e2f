"""Sentences drawn token by token: one mass function of all of them, whatever their length."""

import itertools
from functools import partial

import pytest
import torch
from torch.distributions import Categorical

from vaekit.data.text import learn
from vaekit.distributions.temperature import tempered
from vaekit.distributions.tokens import Tokens
from vaekit.spaces import END, PAD, UNKNOWN, Text, sentence_mask
from vaekit.writers.recurrent import Recurrent
from vaekit.writers.transformer import Transformer

T, VOCABULARY = 3, 4
WRITERS = {"recurrent": partial(Recurrent, width=5), "transformer": partial(Transformer, width=4, heads=2)}


@pytest.fixture(params=WRITERS)
def tokens(request):
    """With weights large enough that tokens depend on each other."""

    def make(batch=(2,), length=T, **options):
        torch.manual_seed(0)
        network = WRITERS[request.param](Text((length,), learn(["a"])), context_size=3, embedding=6).double()
        with torch.no_grad():
            for p in network.parameters():
                p.mul_(2).add_(0.3 * torch.randn_like(p))
        return Tokens(network, torch.randn(*batch, length, 3, dtype=torch.float64), **options)

    return make


def every_sentence(length=T):
    written = (words for n in range(length + 1) for words in itertools.product(range(UNKNOWN, VOCABULARY), repeat=n))
    rows = [([*words, END] + length * [PAD])[:length] for words in written]
    return torch.tensor(rows, dtype=torch.float64)


NARROWED = [{}, {"temperature": 0.6}, {"top_p": 0.8}, {"temperature": 1.5, "top_p": 0.7}]


@pytest.mark.parametrize("options", NARROWED, ids=str)
def test_masses_of_all_sentences_sum_to_one_and_draws_follow_them(tokens, options):
    p, sentences = tokens(**options), every_sentence()
    assert len(sentences) == 1 + 2 + 4 + 8
    mass = p.log_prob(sentences.unsqueeze(1)).exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(2, dtype=torch.float64))
    assert (mass[:, 0] - mass[:, 1]).abs().max() > 1e-3, "the context has no effect"
    assert (mass == 0).any() == ("top_p" in options)
    draws = p.sample((20_000,))
    for row in range(2):
        count = (draws[:, row].unsqueeze(1) == sentences).all(-1).sum(0)
        assert (count / 20_000 - mass[:, row]).abs().max() < 6 * 0.5 / 20_000**0.5


def test_padding_has_log_probability_zero(tokens):
    p = tokens(length=T + 4)
    short = every_sentence()[:7]  # which end within T
    padded = torch.cat([short, torch.full((7, 4), float(PAD), dtype=torch.float64)], 1)
    of_short = Tokens(p.network, p.context[:, :T]).log_prob(short.unsqueeze(1))
    torch.testing.assert_close(p.log_prob(padded.unsqueeze(1)), of_short)


def test_sequential_logits_are_those_of_one_pass(tokens):
    p = tokens(batch=(7,), length=6)
    x, total = p.sample(), torch.zeros(7, dtype=torch.float64)
    assert len(sentence_mask(x).sum(1).unique()) > 1

    def pick(position, logits):
        chosen = (x[:, position].long() - 1).clamp(min=0)
        total.add_(Categorical(logits=logits).log_prob(chosen) * sentence_mask(x)[:, position])
        return chosen

    assert torch.equal(p.sample_sequentially(pick), x)
    torch.testing.assert_close(total, p.log_prob(x))


def test_the_mean_is_greedy_and_a_beam_of_every_sentence_finds_the_mode(tokens):
    p, sentences = tokens(batch=(20,)), every_sentence()
    mass = p.log_prob(sentences.unsqueeze(1))
    assert torch.equal(p.beam(1), p.mean) and torch.equal(p.mode, p.mean)
    assert torch.equal(p.beam(len(sentences)), sentences[mass.argmax(0)])


class Chain:
    """Tokens that depend on the one before alone, by a table of probabilities of all tokens but PAD."""

    def __init__(self, probabilities):
        self.table = torch.tensor(probabilities, dtype=torch.float64).log()

    def states(self, before, context, past=None):
        return self.table[before], torch.zeros(1, len(before))

    def logits(self, states):
        return states


def test_a_beam_finds_the_likelier_sentence_after_the_less_likely_token():
    # rows: after PAD (the start), END, UNKNOWN, the word; columns: END, UNKNOWN, the word
    chain = Chain([[0, 0.6, 0.4], [1, 0, 0], [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]])
    p = Tokens(chain, torch.zeros(T, 1, dtype=torch.float64))
    assert p.mean.tolist() == [UNKNOWN, END, PAD]  # 0.6 x 0.4
    assert p.beam(2).tolist() == [UNKNOWN + 1, END, PAD]  # 0.4 x 0.9
    for sentence, mass in (p.mean, 0.24), (p.beam(2), 0.36):
        assert p.log_prob(sentence).exp().item() == pytest.approx(mass)


def test_leading_dimensions(tokens):
    p = tokens(batch=(5, 2))
    assert p.batch_shape == (5, 2) and p.event_shape == (T,)
    x = p.sample((7,))
    assert x.shape == (7, 5, 2, T)
    assert p.log_prob(x).shape == (7, 5, 2)
    torch.testing.assert_close(p.log_prob(x[0, 0])[3], Tokens(p.network, p.context[3]).log_prob(x[0, 0]))


def test_temperature_sharpens(tokens):
    p, x = tokens(), every_sentence().unsqueeze(1)
    cold = tempered(tempered(p, 0.5), 0.5)
    assert cold.log_prob(x).amax(0).gt(p.log_prob(x).amax(0)).all()
    torch.testing.assert_close(cold.log_prob(x), tokens(temperature=0.25).log_prob(x))
