"""The networks of text: shapes, gradients, and that a sentence's neighbors in the batch change nothing."""

import pytest
import torch

from helpers import TEXT, build, examples
from vaekit.networks import gru, transformer
from vaekit.refusal import Refusal
from vaekit.spaces import PAD, Text

LONGER = Text((TEXT.size + 5,), TEXT.tokenizer)
ENCODERS = {
    "gru": lambda space: gru.Encoder(space, width=6, embedding=5),
    "transformer": lambda space: transformer.Encoder(space, width=6, blocks=2, heads=2),
}
SMALL = ("model=text_vae", "network.width=6", "likelihood.context=4", "likelihood.writer.width=7")
NETWORKS = [("network.embedding=5",), ("network=transformer", "network.heads=2")]


@pytest.fixture(params=ENCODERS)
def encoder(request):
    """Reads sentences that may be longer. Its weights are so large that every token changes the output."""
    torch.manual_seed(0)
    network = ENCODERS[request.param](LONGER).double()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return network


def test_shapes(encoder):
    assert encoder(examples(TEXT, 3).x).shape == (3, *encoder.out_shape)
    assert gru.Decoder((5,), TEXT, params=2)(torch.randn(3, 5)).shape == (3, 2, *TEXT.shape)
    assert gru.Decoder((5, 2, 2), TEXT, params=1)(torch.randn(3, 5, 2, 2)).shape == (3, 1, *TEXT.shape)


def test_neighbors_in_the_batch_and_padding_change_nothing(encoder):
    x = examples(TEXT, 8).x
    together = encoder(x)
    torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), together)
    ended = x[(x == PAD).any(1)]
    longer = torch.nn.functional.pad(ended, (0, 5), value=PAD)
    torch.testing.assert_close(encoder(longer), encoder(ended))


def test_every_position_is_read(encoder):
    x = torch.randint(3, TEXT.vocabulary, (20, 6)).double()
    for position in range(6):
        other = x.clone()
        other[:, position] = 3 + (other[:, position] - 2) % (TEXT.vocabulary - 3)
        assert (encoder(other) != encoder(x)).any(1).all()


def test_both_directions_read_the_whole_sentence():
    encoder = gru.Encoder(TEXT, width=6, embedding=5).double()
    x = torch.full((1, 6), 4.0)
    for position in range(6):
        other = x.clone()
        other[0, position] = 5.0
        changed = (encoder(other) != encoder(x))[0]
        assert changed[:6].any() and changed[6:].any()


def test_the_order_of_words_matters(encoder):
    x = examples(TEXT, 1).x.clone()
    x[0] = torch.tensor([3, 4, 5, 6, 7, 8])
    assert not torch.allclose(encoder(x), encoder(x.flip(1)))


def test_half_precision_inputs_are_refused(encoder):
    with pytest.raises(Refusal, match="bf16-mixed"):
        encoder(examples(TEXT, 2).x.bfloat16())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_every_weight_learns(network):
    vae, objective = build(TEXT, *SMALL, *network)
    objective(vae(examples(TEXT, 40)), None).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())


@pytest.mark.long
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_model_learns_the_sentence(network):
    """From z alone: the rate is used, and a greedy reconstruction is the sentence."""
    vae, objective = build(
        TEXT, *SMALL, *network, "likelihood.writer.dropout=0", "latents.dim=4", "objective.beta.value=0.05"
    )
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


@pytest.mark.parametrize("wrong", ["network=mlp", "prior=vamp", "posterior=hamiltonian", "likelihood=gaussian"])
def test_parts_that_read_token_ids_as_quantities_are_refused(wrong):
    with pytest.raises(Refusal, match=wrong):
        build(TEXT, *SMALL[:1], wrong)


@pytest.mark.parametrize(("setting", "fix"), [("heads=0", "heads=4"), ("heads=5", "heads=1"), ("blocks=0", "blocks=4")])
def test_transformers_that_cannot_be_are_refused(setting, fix):
    with pytest.raises(Refusal, match=f"network.{fix}"):
        build(TEXT, *SMALL, "network=transformer", f"network.{setting}")
