"""The mixture over a pixel's channels: one mass function of all of them together."""

import itertools

import pytest
import torch

from vaekit.distributions.discretized_logistic import DiscretizedLogistic
from vaekit.distributions.logistic_mixture import LogisticMixture


def mixture(channels, levels=4, components=3, batch=(2,)):
    torch.manual_seed(0)
    shape = (*batch, components)
    pairs = channels * (channels - 1) // 2
    return LogisticMixture(
        torch.randn(*shape, 1, 1, dtype=torch.float64),
        torch.rand(*shape, channels, 1, 1, dtype=torch.float64),
        0.05 + 0.2 * torch.rand(*shape, channels, 1, 1, dtype=torch.float64),
        torch.randn(*shape, pairs, 1, 1, dtype=torch.float64).tanh(),
        levels,
    )


def every_pixel(channels, levels=4):
    return torch.tensor(list(itertools.product(range(levels), repeat=channels)), dtype=torch.float64) / (levels - 1)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_masses_sum_to_one_and_draws_follow_them(channels):
    p = mixture(channels)
    pixels = every_pixel(channels)
    mass = p.log_prob(pixels.reshape(-1, 1, channels, 1, 1)).exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(2, dtype=torch.float64))
    draws = p.sample((20_000,)).reshape(20_000, 2, channels)
    for image in range(2):
        frequency = torch.stack([(draws[:, image] - pixel).abs().sum(-1).lt(1e-6).double().mean() for pixel in pixels])
        assert (frequency - mass[:, image]).abs().max() < 6 * 0.5 / 20_000**0.5


def test_one_component_of_one_channel_is_a_discretized_logistic():
    p = mixture(1, components=1)
    x = torch.tensor([0.0, 1 / 3], dtype=torch.float64).reshape(2, 1, 1, 1)
    plain = DiscretizedLogistic(p.loc[:, 0], p.scale[:, 0], 4)
    torch.testing.assert_close(p.log_prob(x), plain.log_prob(x).flatten(1).sum(1))
    torch.testing.assert_close(p.mean, plain.mean)
    torch.testing.assert_close(p.mode, plain.mode)


def test_mean_of_gray_pixels_is_the_masses_mean():
    p = mixture(1)
    pixels = every_pixel(1)
    mass = p.log_prob(pixels.reshape(-1, 1, 1, 1, 1)).exp()
    torch.testing.assert_close(p.mean.flatten(), (mass * pixels).sum(0))


def test_leading_dimensions():
    p = mixture(3, batch=(5, 2))
    assert p.batch_shape == (5, 2)
    assert p.sample((7,)).shape == (7, 5, 2, 3, 1, 1)
    assert p.log_prob(p.sample((7,))).shape == (7, 5, 2)
