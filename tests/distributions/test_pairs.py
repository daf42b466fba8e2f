"""Images with labels: probabilities sum to one over the observed modalities."""

import itertools

import torch

from vaekit.distributions.pairs import Pairs
from vaekit.spaces import Image
from vaekit.spaces import Pairs as Space

SPACE = Space.of(Image((1, 1, 2), bins=2), 3)
EVERY = list(itertools.product((0.0, 1.0), (0.0, 1.0), range(3)))


def distribution():
    torch.manual_seed(0)
    return Pairs(torch.randn(1, 2), torch.randn(1, 3))


def pairs():
    """Every value, `[12, 7]`."""
    image = torch.tensor([each[:2] for each in EVERY]).reshape(-1, 1, 1, 2)
    return SPACE.pair(image, torch.tensor([each[2] for each in EVERY]))


def test_probabilities_sum_to_one_of_pairs_and_of_each_alone():
    px, x = distribution(), pairs()
    torch.testing.assert_close(px.log_prob(x).sum(-1).exp().sum(), torch.tensor(1.0))
    images = SPACE.keep_modality(x, 0).unique(dim=0)
    labels = SPACE.keep_modality(x, 1).unique(dim=0)
    assert len(images) == 4 and len(labels) == 3
    for alone in (images, labels):
        torch.testing.assert_close(px.log_prob(alone).sum(-1).exp().sum(), torch.tensor(1.0))
    assert (px.log_prob(torch.zeros(1, 7)) == 0).all(), "nothing costs nothing"


def test_draws_are_as_frequent_as_their_probability_says():
    px, x = distribution(), pairs()
    drawn = px.sample((20_000,))[:, 0]
    SPACE.check(drawn)
    found = (drawn.unsqueeze(1) == x).all(-1).float().mean(0)
    torch.testing.assert_close(found, px.log_prob(x).sum(-1).exp(), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.mean(0), px.mean[0], atol=0.02, rtol=0)


def test_the_mode_is_the_likeliest_pair():
    px, x = distribution(), pairs()
    assert torch.equal(px.mode[0], x[px.log_prob(x).sum(-1).argmax()])
    SPACE.check(px.mode)
