"""Bits drawn one by one: masked linear layers give one joint mass function."""

import itertools

import pytest
import torch
from torch.distributions import Categorical

from helpers import assert_completes, assert_draws_follow_masses
from vaekit.distributions.bits import Bits
from vaekit.networks.made import MADE, causal_mask


def bits(shape=(2, 3), batch=(2,), layers=2):
    """With weights large enough that bits depend on each other."""
    torch.manual_seed(0)
    network, size = MADE(causal_mask(shape), layers).double(), torch.Size((*batch, *shape))
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p))
    context = [torch.randn(size, dtype=torch.float64) for _ in range(layers + 1)]
    return Bits(network, context, torch.Size(batch), torch.Size(shape))


def every(shape):
    numbers = torch.tensor([*itertools.product(range(2), repeat=torch.Size(shape).numel())])
    return numbers.reshape(-1, *shape).double()


@pytest.mark.parametrize("layers", [1, 2])
def test_masses_sum_to_one_and_draws_follow_them(layers):
    assert_draws_follow_masses(bits(layers=layers), every((2, 3)))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_value_depends_only_on_earlier_values(layers):
    """By the gradient of its logit; it also depends on the context of a value and of those before it."""
    p = bits(shape=(7,), batch=(1,), layers=layers)
    context = [each.requires_grad_() for each in p.context]
    x = p.sample().requires_grad_()
    logits = p.logits(x)[0]
    for i in range(7):
        of_x, *of_context = torch.autograd.grad(logits[i], [x, *context], retain_graph=True)
        assert torch.equal(of_x[0] != 0, torch.arange(7) < i)
        for of_number in of_context[:-1]:
            assert torch.equal(of_number[0] != 0, torch.arange(7) <= i)
        assert torch.equal(of_context[-1][0], torch.eye(7, dtype=torch.float64)[i])


@pytest.mark.parametrize("layers", [1, 3])
def test_sequential_logits_are_those_of_one_pass(layers):
    p = bits(shape=(3, 5), layers=layers)
    x, log_p = p.sample(), torch.zeros(2, dtype=torch.float64)

    def pick(i, logits):
        number = x.flatten(1)[:, i].long()
        log_p.add_(Categorical(logits=logits).log_prob(number))
        return number

    assert torch.equal(p.sample_sequentially(2, pick), x.long())
    torch.testing.assert_close(log_p, p.log_prob(x))


def test_of_maps_a_value_sees_those_near_it():
    seen = causal_mask((2, 5, 6), receptive_field=1).unflatten(0, (2, 5, 6)).unflatten(3, (2, 5, 6))
    assert torch.equal(seen[0, 2, 3].nonzero(), torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 2, 2]]))
    assert len(seen[1, 2, 3].nonzero()) == 9 + 4, "all of the channel before, and above and left in its own"
    assert seen[0, 0, 0].sum() == 0


def test_weighted_draws_are_of_what_is_missing_given_what_is_known():
    p, each = bits(shape=(2, 2), batch=(1,)), every((2, 2))
    known = torch.tensor([[False, True], [False, True]])
    assert_completes(p, each, each[5], known)


def test_means_average_to_the_mean():
    p, each = bits(shape=(2, 2)), every((2, 2))
    mass = p.log_prob(each.unsqueeze(1)).exp()
    several = p.expand((10_000, 2)).mean
    torch.testing.assert_close(several.mean(0), torch.einsum("ib,ihw->bhw", mass, each), atol=0.02, rtol=0)


def test_the_mode_is_greedy():
    p = bits(shape=(3, 4))
    assert torch.equal(p.mode, (p.logits(p.mode) > 0).double())


def test_leading_dimensions():
    """Also for many draws of z and one x, whose part of the sums is computed once."""
    p = bits(batch=(5, 2))
    assert p.batch_shape == (5, 2) and p.event_shape == (2, 3)
    x = p.sample((7,))
    assert x.shape == (7, 5, 2, 2, 3)
    assert p.log_prob(x).shape == (7, 5, 2)
    one = p.log_prob(x[0, 0])
    assert one.shape == (5, 2)
    for k in range(5):
        alone = Bits(p.network, [each[k] for each in p.context], torch.Size([2]), p.event_shape)
        torch.testing.assert_close(alone.log_prob(x[0, 0]), one[k])
