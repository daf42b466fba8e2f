"""All writers, found by their configurations, so that new ones are tested too."""

import pytest
import torch
from hydra.utils import instantiate

from helpers import TEXT, build, config, examples
from vaekit.configs import options
from vaekit.refusal import Refusal
from vaekit.spaces import Text

NAMES = sorted(options("writer"))
SMALL = ("width=8", "embedding=6")
BEFORE = torch.tensor([[0, 5, 6, 7]] * 2)


def chosen(name, *settings):
    return (
        "model=text_vae",
        f"writer@likelihood.writer={name}",
        *(f"likelihood.writer.{setting}" for setting in (*SMALL, "dropout=0", *settings)),
    )


def writer(name, *settings, space=TEXT, context=3):
    torch.manual_seed(0)
    network = instantiate(config(*chosen(name, *settings)).likelihood.writer)(space, context)
    with torch.no_grad():
        for p in network.parameters():  # large enough that tokens depend on each other
            p.add_(0.3 * torch.randn_like(p))
    return network.double()


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_token_by_token_it_reads_as_in_one_pass(name):
    network, context, past = writer(name), torch.randn(2, 4, 3).double(), None
    whole, _ = network.states(BEFORE, context)
    for t in range(4):
        state, past = network.states(BEFORE[:, t : t + 1], context[:, t : t + 1], past)
        torch.testing.assert_close(state[:, 0], whole[:, t])
        assert past.shape[1] == 2, "a beam search goes on with other rows of the past"
    assert network.logits(whole).shape == (2, 4, TEXT.vocabulary - 1)


def test_rows_of_the_past_may_be_reordered(name):
    network, context = writer(name), torch.randn(1, 4, 3).double().expand(2, -1, -1)
    before = torch.tensor([[0, 5, 6], [0, 3, 4]])
    _, past = network.states(before, context[:, :3])
    straight, _ = network.states(torch.tensor([[7], [7]]), context[:, 3:], past)
    swapped, _ = network.states(torch.tensor([[7], [7]]), context[:, 3:], past[:, [1, 0]])
    torch.testing.assert_close(swapped, straight[[1, 0]])
    assert not torch.allclose(straight[0], straight[1])


def test_a_token_depends_on_its_context_and_the_tokens_before(name):
    network, context = writer(name), torch.randn(1, 5, 3).double().requires_grad_()
    embedded = network.embed(torch.tensor([[0, 3, 4, 3, 4]])).detach().requires_grad_()
    network.embed.register_forward_hook(lambda *_: embedded)
    states, _ = network.states(torch.zeros(1, 5, dtype=torch.long), context)
    for position in range(5):
        gradients = torch.autograd.grad(states[0, position].square().sum(), (embedded, context), retain_graph=True)
        for gradient in gradients:
            assert torch.equal(gradient[0].abs().sum(1) > 0, torch.arange(5) <= position)


def test_dropped_words_are_inputs_and_no_targets(name):
    network, context = writer(name, "word_dropout=0.999"), torch.randn(1, 4, 3).double()
    hidden, _ = network.states(BEFORE[:1], context)
    torch.testing.assert_close(hidden, network.eval().states(torch.tensor([[0, 2, 2, 2]]), context)[0])
    visible, _ = network.eval().states(BEFORE[:1], context)
    assert not torch.allclose(visible, hidden)


def test_dropout_takes_the_same_units_of_a_sentence_at_all_places(name):
    network = writer(name, "dropout=0.5", "width=48")
    states, _ = network.states(BEFORE, torch.randn(2, 4, 3).double())
    dropped = states[..., :48] == 0
    assert torch.equal(dropped.all(1), dropped.any(1)) and 10 < dropped[0, 0].sum() < 38
    assert not torch.equal(dropped[0, 0], dropped[1, 0])


def test_trains_every_weight_and_writes(name):
    vae, objective = build(TEXT, *chosen(name), "network.width=4")
    batch = examples(TEXT, 40)
    objective(vae(batch), None).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())
    vae.eval()
    for draw in (False, True, lambda px: px.base_dist.beam(3)):
        TEXT.check(vae.sample(5, draw=draw))
    assert torch.isfinite(vae.log_likelihood(batch.x, num_samples=3)).all()


@pytest.mark.long
def test_invalid_settings_are_refused(name):
    wrong = {"width=0": "width=256", "embedding=0": "embedding=128", "dropout=1.0": "dropout=0.3"}
    wrong |= {"word_dropout=-0.1": "word_dropout=0.3"}
    wrong |= {"heads=3": "heads=1", "blocks=0": "blocks=4"} if name == "transformer" else {}
    for setting, fix in wrong.items():
        with pytest.raises(Refusal, match=f"likelihood.writer.{fix}"):
            build(TEXT, *chosen(name, setting))
    with pytest.raises(Refusal, match=r"likelihood\.context=64"):
        build(TEXT, *chosen(name), "likelihood.context=0")


def test_as_long_as_the_data_may_be(name):
    space = Text((40,), TEXT.tokenizer)
    network = writer(name, space=space)
    states, _ = network.states(torch.zeros(1, 40, dtype=torch.long), torch.randn(1, 40, 3).double())
    assert torch.isfinite(states).all()
