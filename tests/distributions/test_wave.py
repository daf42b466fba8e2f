"""Sounds drawn sample by sample: one mass function of all samples together, by a causal network."""

import itertools

import pytest
import torch
from torch.distributions import Categorical

from helpers import assert_completes, assert_draws_follow_masses
from vaekit.distributions.raster import GrayLevels, Raster
from vaekit.distributions.wave import Wave
from vaekit.networks.wavenet import WaveNet


def wave(samples, batch=(2,), levels=3, layers=2):
    """With weights large enough that samples depend on each other."""
    torch.manual_seed(0)
    network = WaveNet(levels, maps=3, width=4, layers=layers).double()
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(2).add_(0.3 * torch.randn_like(p))
    return Wave(network, torch.randn(*batch, 3, 1, samples, dtype=torch.float64), GrayLevels(1, levels))


def every_sound(samples, levels=3):
    numbers = torch.tensor([*itertools.product(range(levels), repeat=samples)])
    return (numbers / (levels - 1)).double().reshape(-1, 1, 1, samples)


def test_masses_of_all_sounds_sum_to_one_and_draws_follow_them():
    assert_draws_follow_masses(wave(4), every_sound(4))


@pytest.mark.parametrize("layers", [1, 3])
def test_a_sample_depends_on_exactly_the_receptive_field(layers):
    p = wave(12, batch=(1,), layers=layers)
    x = p.sample().requires_grad_()
    logits = p._logits(x, p.maps)
    for position in range(12):
        (gradient,) = torch.autograd.grad(logits[..., position].square().sum(), x, retain_graph=True)
        seen = range(max(0, position - 2**layers), position)
        assert gradient.flatten().nonzero().flatten().tolist() == [*seen]


@pytest.mark.parametrize("layers", [1, 4])
def test_sequential_logits_are_those_of_one_pass(layers):
    """The series is longer than the receptive field, so that the cache wraps around."""
    p = wave(40, layers=layers)
    x, found = p.sample(), []
    fixed = p.numbers(x)[:, 0, 0]

    def pick(position, logits):
        found.append(logits)
        return fixed[:, position]

    assert torch.equal(p.sample_values(pick), x)
    torch.testing.assert_close(torch.stack(found, -1), p._logits(x, p.maps)[:, :, 0, 0])
    each = Categorical(logits=torch.stack(found, 1)).log_prob(fixed).sum(1)
    torch.testing.assert_close(each, p.log_prob(x))


def test_memory_changes_nothing():
    p = wave(40, layers=3)
    torch.testing.assert_close(p.mode, Raster(p.network, p.maps, p.symbols).mode)


def test_weighted_draws_are_of_what_is_missing_given_what_is_known():
    p, sounds = wave(4, batch=(1,)), every_sound(4)
    assert_completes(p, sounds, sounds[50], torch.tensor([False, True, False, True]).expand(1, 1, 4))


def test_leading_dimensions():
    p = wave(6, batch=(5, 2))
    x = p.sample((7,))
    assert x.shape == (7, 5, 2, 1, 1, 6) and p.mean.shape == p.mode.shape == (5, 2, 1, 1, 6)
    assert p.log_prob(x).shape == (7, 5, 2)
    third = Wave(p.network, p.maps[3], p.symbols)
    torch.testing.assert_close(p.log_prob(x[0])[3], third.log_prob(x[0, 3]))
