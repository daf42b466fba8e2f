"""Convolutions in time: any length, any number of bands; no example its neighbors."""

import pytest
import torch

from vaekit.networks.wave import Decoder, Encoder
from vaekit.refusal import Refusal, located
from vaekit.spaces import Audio

SMALL = {"channels": [4, 6], "blocks": 1, "features": 8}


@pytest.mark.parametrize("space", [Audio((1, 1, 100), 256), Audio((1, 1, 1023), 256), Audio((1, 16, 33))], ids=str)
def test_shapes_follow_from_the_space(space):
    encoder = Encoder(space, **SMALL)
    assert encoder(torch.rand(3, *space.shape)).shape == (3, *encoder.out_shape) == (3, 8)
    assert Decoder((5,), space, 2, **SMALL)(torch.randn(3, 5)).shape == (3, 2, *space.shape)


def test_neighbors_in_the_batch_change_nothing():
    torch.manual_seed(0)
    encoder = Encoder(Audio((1, 1, 50), 256), **SMALL).double()
    x = torch.rand(5, 1, 1, 50).double()
    torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), encoder(x))


def test_every_weight_of_a_decoder_learns():
    decoder = Decoder((5,), Audio((1, 2, 50)), 1, **SMALL)
    decoder(torch.randn(4, 5)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_features_and_outputs_depend_on_the_input():
    """It faded to a thousandth over the stages once: z stayed unused."""
    torch.manual_seed(0)
    space = Audio((1, 1, 5120), 256)
    deep = {"channels": [32, 64, 128, 128], "blocks": 1}
    features = Encoder(space, **deep)(torch.rand(8, *space.shape))
    for spread in (features, Decoder((32,), space, 4, **deep)(torch.randn(8, 32))):
        assert 0.1 < spread.std(0).mean() < 3


def test_negative_blocks_are_refused():
    with located("network"), pytest.raises(Refusal, match=r"network.blocks=4"):
        Encoder(Audio((1, 1, 50), 256), channels=[4], blocks=-1)
