"""Images drawn pixel by pixel: one mass function of all pixels together, by a network that looks at none too late."""

import itertools
import math

import pytest
import torch
from torch.distributions import Categorical

from vaekit.distributions.raster import Raster
from vaekit.networks.pixelcnn import PixelCNN


def raster(channels=1, levels=2, size=(2, 2), batch=(2,), layers=2):
    """With weights large enough that pixels depend on each other."""
    torch.manual_seed(0)
    network = PixelCNN(channels, levels, maps=3, width=4, layers=layers).double()
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(2).add_(0.3 * torch.randn_like(p))
    return Raster(network, torch.randn(*batch, 3, *size, dtype=torch.float64), channels, levels)


SMALL = [(1, 2, (2, 2)), (1, 3, (2, 3)), (2, 2, (2, 2)), (3, 2, (1, 3))]


def every_image(channels, levels, size):
    values = itertools.product(range(levels), repeat=channels * math.prod(size))
    return torch.tensor([*values], dtype=torch.float64).reshape(-1, channels, *size) / (levels - 1)


@pytest.mark.parametrize("space", SMALL, ids=str)
def test_masses_of_all_images_sum_to_one_and_draws_follow_them(space):
    p, images = raster(*space), every_image(*space)
    mass = p.log_prob(images.unsqueeze(1)).exp()
    assert mass.shape == (len(images), 2)
    torch.testing.assert_close(mass.sum(0), torch.ones(2, dtype=torch.float64))
    assert (mass[:, 0] - mass[:, 1]).abs().max() > 1e-3, "the maps say nothing"
    draws = p.sample((20_000,)).flatten(2)
    for image in range(2):
        count = (draws[:, image].unsqueeze(1) - images.flatten(1)).abs().sum(-1).lt(1e-6).sum(0)
        assert (count / 20_000 - mass[:, image]).abs().max() < 6 * 0.5 / 20_000**0.5


def test_pixels_depend_on_each_other():
    p = raster(size=(2, 2))
    mass = p.log_prob(every_image(1, 2, (2, 2)).unsqueeze(1)).exp()[:, 0].reshape(2, 2, 2, 2)
    alone = [mass.sum([other for other in range(4) if other != pixel]) for pixel in range(4)]
    assert (mass - torch.einsum("a,b,c,d->abcd", *alone)).abs().max() > 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_a_value_sees_those_before_it_and_no_others(channels):
    """By the gradient of its logits; within `reach` it sees every one of them."""
    p = raster(channels, levels=4, size=(5, 6), batch=(1,), layers=3)
    x = p.sample().requires_grad_()
    logits = p.network(x, p.maps)
    order = torch.arange(30 * channels).reshape(5, 6, channels).permute(2, 0, 1)  # pixel by pixel, its channels in turn
    for place in itertools.product(range(channels), range(5), range(6)):
        (gradient,) = torch.autograd.grad(logits[(0, slice(None), *place)].square().sum(), x, retain_graph=True)
        assert torch.equal(gradient[0] != 0, order < order[place])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_walk_computes_what_one_pass_does(channels):
    """Although it only looks at what lies within reach of a pixel."""
    p = raster(channels, levels=4, size=(11, 13), layers=1)
    assert p.network.reach < 11 - 1
    x, found = p.sample(), []
    numbers = (x * 3).round().long()

    def pick(place, logits):
        found.append((place, logits))
        return numbers.flatten(1)[:, place]

    assert torch.equal(p.walk(2, pick), numbers)
    whole = p.network(x, p.maps).flatten(2)
    assert sorted(place for place, _ in found) == [*range(channels * 11 * 13)]
    for place, logits in found:
        torch.testing.assert_close(logits, whole[:, :, place])
    walked = sum(Categorical(logits=logits).log_prob(pick(place, logits)) for place, logits in found.copy())
    torch.testing.assert_close(walked, p.log_prob(x))


def test_means_average_to_the_mean():
    space = (1, 3, (2, 2))
    p, images = raster(*space), every_image(*space)
    mass = p.log_prob(images.unsqueeze(1)).exp()
    expected = torch.einsum("ib,ichw->bchw", mass, images)
    several = p.expand((10_000, 2)).mean
    torch.testing.assert_close(several.mean(0), expected, atol=0.02, rtol=0)
    # nearer to it than draws are, which lie on the grey levels
    assert several.var(0).sum() < 0.8 * p.sample((10_000,)).var(0).sum()


def test_the_mode_is_greedy():
    p = raster(1, 3, (3, 4))
    index = (p.mode * 2).round().long()
    assert torch.equal(p.network(p.mode, p.maps).argmax(1), index)


def test_leading_dimensions():
    p = raster(3, levels=4, size=(2, 3), batch=(5, 2))
    assert p.batch_shape == (5, 2) and p.event_shape == (3, 2, 3)
    x = p.sample((7,))
    assert x.shape == (7, 5, 2, 3, 2, 3)
    assert p.log_prob(x).shape == (7, 5, 2)
    torch.testing.assert_close(p.log_prob(x[0, 0])[3], raster_of(p, 3).log_prob(x[0, 0]))


def raster_of(p, row):
    return Raster(p.network, p.maps[row], p.event_shape[0], p.levels)
