"""Images by one network, labels by another, side by side."""

import pytest
import torch

from helpers import PAIRS, build, examples

IMAGES = {"mlp": ["network.image.hidden=[16]"], "conv": ["network.image.channels=[4]", "network.image.features=16"]}


def network(image):
    chosen = ("model=mvae", "data=paired", f"network@network.image={image}", "network.label=8", "latents.dim=3")
    return build(PAIRS, *chosen, *IMAGES[image])[0].double()


@pytest.mark.parametrize("image", IMAGES)
def test_features_of_each_modality_and_whether_it_is_observed(image):
    encoder, x = network(image).encoder, examples(PAIRS, 4, dtype=torch.float64).x
    features = encoder(x)
    assert features.shape == (4, *encoder.out_shape) == (4, 2, 17)
    assert features[..., -1].tolist() == [[1, 1], [1, 1], [1, 0], [0, 1]]
    torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), features)


@pytest.mark.parametrize("image", IMAGES)
def test_every_weight_learns(image):
    vae = network(image)
    vae.encoder(examples(PAIRS, 4, dtype=torch.float64).x).square().sum().backward()
    decoded = vae.likelihood.network(torch.randn(5, 3, dtype=torch.float64))
    assert decoded.shape == (5, 1, *PAIRS.shape)
    assert (decoded[..., -2:] == 0).all()
    decoded.square().sum().backward()
    for part in (vae.encoder, vae.likelihood.network):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
