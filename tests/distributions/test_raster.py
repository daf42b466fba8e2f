"""Images drawn pixel by pixel: one mass function of all pixels, by a network that reads only earlier ones."""

import itertools
import math

import pytest
import torch
from torch.distributions import Categorical

from helpers import assert_completes, assert_draws_follow_masses
from vaekit.distributions.raster import GrayLevels, OneHot, Raster
from vaekit.networks.pixelcnn import PixelCNN

BITS = GrayLevels(1, 2)


def raster(symbols=BITS, size=(2, 2), batch=(2,), layers=2):
    """With weights large enough that pixels depend on each other."""
    torch.manual_seed(0)
    each = dict(maps=3, width=4, layers=layers)
    if isinstance(symbols, OneHot):
        network = PixelCNN(1, symbols.channels, **each, in_channels=2 * symbols.channels).double()
    else:
        network = PixelCNN(symbols.channels, symbols.bins, **each).double()
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(2).add_(0.3 * torch.randn_like(p))
    return Raster(network, torch.randn(*batch, 3, *size, dtype=torch.float64), symbols)


SMALL = [
    (BITS, (2, 2)),
    (GrayLevels(1, 3), (2, 3)),
    (GrayLevels(2, 2), (2, 2)),
    (GrayLevels(3, 2), (1, 3)),
    (OneHot(3), (2, 2)),
]


def every_image(symbols, size):
    each, count = (1, symbols.channels) if isinstance(symbols, OneHot) else (symbols.channels, symbols.bins)
    numbers = torch.tensor([*itertools.product(range(count), repeat=each * math.prod(size))])
    return symbols.values(numbers.reshape(-1, each, *size)).double()


@pytest.mark.long
@pytest.mark.parametrize("space", SMALL, ids=str)
def test_masses_of_all_images_sum_to_one_and_draws_follow_them(space):
    assert_draws_follow_masses(raster(*space), every_image(*space))


def test_pixels_depend_on_each_other():
    p = raster(size=(2, 2))
    mass = p.log_prob(every_image(BITS, (2, 2)).unsqueeze(1)).exp()[:, 0].reshape(2, 2, 2, 2)
    alone = [mass.sum([other for other in range(4) if other != pixel]) for pixel in range(4)]
    assert (mass - torch.einsum("a,b,c,d->abcd", *alone)).abs().max() > 1e-3


SEVERAL = [GrayLevels(1, 4), GrayLevels(3, 4), OneHot(4)]


@pytest.mark.parametrize("symbols", SEVERAL, ids=str)
def test_a_value_depends_only_on_earlier_values(symbols):
    """By the gradient of its logits; within the receptive field it depends on every one of them."""
    p = raster(symbols, size=(5, 6), batch=(1,), layers=3)
    x = p.sample().requires_grad_()
    logits = p._logits(x, p.maps)
    each = logits.shape[2]
    order = torch.arange(30 * each).reshape(5, 6, each).permute(2, 0, 1)  # pixel by pixel, its symbols in turn
    for position in itertools.product(range(each), range(5), range(6)):
        (gradient,) = torch.autograd.grad(logits[(0, slice(None), *position)].square().sum(), x, retain_graph=True)
        assert torch.equal(gradient[0] != 0, (order < order[position]).expand_as(gradient[0]))


def test_an_earlier_symbol_is_seen_at_any_distance():
    """Whether it does, not where."""
    p = raster(OneHot(3), size=(12, 12), batch=(1,), layers=1)
    assert p.network.receptive_field < 12 - 2
    numbers = torch.zeros(3, 1, 12, 12, dtype=torch.long)
    numbers[1, 0, 0, 0] = numbers[2, 0, 0, 1] = 2
    none, first, second = p._logits(p.symbols.values(numbers).double(), p.maps.expand(3, -1, -1, -1))[..., -1, -1]
    assert torch.equal(first, second) and (none - first).abs().max() > 1e-3


@pytest.mark.parametrize("symbols", SEVERAL, ids=str)
def test_sequential_logits_are_those_of_one_pass(symbols):
    """Although it reads only the receptive field of a pixel."""
    p = raster(symbols, size=(11, 13), layers=1)
    assert p.network.receptive_field < 11 - 1
    x, found = p.sample(), []
    numbers = symbols.numbers(x)

    def pick(position, logits):
        found.append((position, logits))
        return numbers.flatten(1)[:, position]

    assert torch.equal(p.sample_sequentially(2, pick), numbers)
    whole = p._logits(x, p.maps).flatten(2)
    assert sorted(position for position, _ in found) == [*range(whole.shape[2])]
    for position, logits in found:
        torch.testing.assert_close(logits, whole[:, :, position])
    sequential = sum(Categorical(logits=logits).log_prob(pick(position, logits)) for position, logits in found.copy())
    torch.testing.assert_close(sequential, p.log_prob(x))


@pytest.mark.long
@pytest.mark.parametrize("symbols", [GrayLevels(2, 2), OneHot(3)], ids=str)
def test_weighted_draws_are_of_what_is_missing_given_what_is_known(symbols):
    p, images = raster(symbols, batch=(1,)), every_image(symbols, (2, 2))
    known = torch.tensor([[False, True], [False, True]])
    assert_completes(p, images, images[5], known.expand(symbols.channels, -1, -1))


def test_means_average_to_the_mean():
    space = (GrayLevels(1, 3), (2, 2))
    p, images = raster(*space), every_image(*space)
    mass = p.log_prob(images.unsqueeze(1)).exp()
    expected = torch.einsum("ib,ichw->bchw", mass, images)
    several = p.expand((10_000, 2)).mean
    torch.testing.assert_close(several.mean(0), expected, atol=0.02, rtol=0)
    # nearer to it than draws are, which lie on the gray values
    assert several.var(0).sum() < 0.8 * p.sample((10_000,)).var(0).sum()


def test_the_mode_is_greedy():
    p = raster(GrayLevels(1, 3), (3, 4))
    index = (p.mode * 2).round().long()
    assert torch.equal(p.network(p.mode, p.maps).argmax(1), index)


@pytest.mark.parametrize("symbols", [GrayLevels(3, 4), OneHot(3)], ids=str)
def test_leading_dimensions(symbols):
    p = raster(symbols, size=(2, 3), batch=(5, 2))
    assert p.batch_shape == (5, 2) and p.event_shape == (3, 2, 3)
    x = p.sample((7,))
    assert x.shape == (7, 5, 2, 3, 2, 3)
    assert p.log_prob(x).shape == (7, 5, 2)
    torch.testing.assert_close(p.log_prob(x[0, 0])[3], raster_of(p, 3).log_prob(x[0, 0]))


def raster_of(p, row):
    return Raster(p.network, p.maps[row], p.symbols)
