"""The networks of text: shapes, gradients, and that a sentence's neighbours in the batch change nothing."""

import pytest
import torch

from helpers import TEXT, build, examples
from vaekit.likelihoods.tokens import Tokens
from vaekit.networks import gru
from vaekit.networks.recurrent import Recurrent
from vaekit.refusal import Refusal
from vaekit.spaces import PAD

SMALL = ("model=text_vae", "network.width=6", "network.embedding=5", "likelihood.told=4", "likelihood.width=7")


def test_shapes():
    encoder = gru.Encoder(TEXT, width=6, embedding=5)
    assert encoder(examples(TEXT, 3).x).shape == (3, *encoder.out_shape) == (3, 12)
    assert gru.Decoder((5,), TEXT, params=2)(torch.randn(3, 5)).shape == (3, 2, *TEXT.shape)
    assert gru.Decoder((5, 2, 2), TEXT, params=1)(torch.randn(3, 5, 2, 2)).shape == (3, 1, *TEXT.shape)


def test_neighbours_in_the_batch_and_padding_change_nothing():
    torch.manual_seed(0)
    encoder = gru.Encoder(TEXT, width=6, embedding=5).double()
    x = examples(TEXT, 8).x
    together = encoder(x)
    torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), together)
    ended = x[(x == PAD).any(1)]
    longer = torch.nn.functional.pad(ended, (0, 5), value=PAD)
    torch.testing.assert_close(encoder(longer), encoder(ended))


def test_both_directions_read_the_whole_sentence():
    encoder = gru.Encoder(TEXT, width=6, embedding=5).double()
    x = torch.full((1, 6), 4.0)
    for place in range(6):
        other = x.clone()
        other[0, place] = 5.0
        changed = (encoder(other) != encoder(x))[0]
        assert changed[:6].any() and changed[6:].any()


def test_every_weight_learns():
    vae, objective = build(TEXT, *SMALL)
    objective(vae(examples(TEXT, 40)), None).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())


def test_half_precision_inputs_are_refused():
    encoder = gru.Encoder(TEXT, width=6, embedding=5)
    with pytest.raises(Refusal, match="bf16-mixed"):
        encoder(examples(TEXT, 2).x.bfloat16())


def test_dropped_words_are_inputs_and_no_targets():
    torch.manual_seed(0)
    told = torch.randn(1, 4, 3)
    network, before = Recurrent(9, 3, 5, 6, word_dropout=0.999), torch.tensor([[0, 5, 6, 7]])
    hidden, _ = network.states(before, told)
    torch.testing.assert_close(hidden, network.eval().states(torch.tensor([[0, 2, 2, 2]]), told)[0])
    seen, _ = network.eval().states(before, told)
    assert not torch.allclose(seen, hidden)


def test_dropout_takes_the_same_units_of_a_sentence_at_all_places():
    torch.manual_seed(0)
    network = Recurrent(9, told=3, width=50, embedding=6, dropout=0.5)
    states, _ = network.states(torch.tensor([[0, 5, 6, 7]] * 2), torch.randn(2, 4, 3))
    dropped = states[..., :50] == 0
    assert torch.equal(dropped.all(1), dropped.any(1)) and 10 < dropped[0, 0].sum() < 40
    assert not torch.equal(dropped[0, 0], dropped[1, 0])


def test_learns_which_sentence_it_was():
    """From z alone: the rate is used, and a greedy reconstruction is the sentence."""
    vae, objective = build(TEXT, *SMALL, "likelihood.dropout=0", "latents.dim=4", "objective.beta.value=0.05")
    sentences = TEXT.encode(["A man, a hat.", "Two men in hats?", "A man runs!", "hat"])
    batch = examples(TEXT, 4)
    batch.x = torch.from_numpy(TEXT.pad(sentences)).float()
    optimizer = torch.optim.Adam(vae.parameters(), 0.03)
    for _ in range(120):
        optimizer.zero_grad()
        objective(vae(batch), None).mean().backward()
        optimizer.step()
    assert torch.equal(vae.eval().reconstruct(batch.x), batch.x)
    assert torch.equal(vae.interpolate(batch.x[:1], batch.x[1:2], steps=3)[0, [0, 2]], batch.x[:2])


def test_settings_that_cannot_be_are_refused():
    for options, named in (({"told": 0}, "told=64"), ({"dropout": 1.0}, "dropout=0.3"), ({"width": 0}, "width=256")):
        with pytest.raises(Refusal, match=f"likelihood.{named}"):
            Tokens(TEXT, lambda params: torch.nn.Identity(), **options)


@pytest.mark.parametrize("wrong", ["network=mlp", "prior=vamp", "posterior=hamiltonian", "likelihood=gaussian"])
def test_what_takes_token_numbers_for_quantities_is_refused(wrong):
    with pytest.raises(Refusal, match=wrong):
        build(TEXT, *SMALL[:1], wrong)
