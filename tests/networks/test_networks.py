"""Any image size of at least 8x8, any number of channels; an example's features do not depend on its neighbors."""

import pytest
import torch

from vaekit.networks import conv, gated_mlp, mlp, pyramid, resnet
from vaekit.refusal import Refusal, located
from vaekit.spaces import Image, Real

FAMILIES = {
    "mlp": (mlp, {"hidden": [16, 8]}),
    "gated_mlp": (gated_mlp, {"width": 8, "blocks": 1}),
    "conv": (conv, {"channels": [4, 6], "features": 8}),
    "resnet": (resnet, {"channels": [4, 6], "features": 8}),
    "pyramid": (pyramid, {"channels": 4, "blocks": 2}),
}
SHAPES = [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 33, 17), (2, 64, 64)]


@pytest.fixture(params=FAMILIES, ids=str)
def family(request):
    return FAMILIES[request.param]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_follow_from_the_space(family, shape):
    module, options = family
    encoder = module.Encoder(Image(shape), **options)
    assert encoder(torch.rand(3, *shape)).shape == (3, *encoder.out_shape)
    decoder = module.Decoder((5,), Image(shape), params=2, **options)
    assert decoder(torch.randn(3, 5)).shape == (3, 2, *shape)


def test_neighbors_in_the_batch_change_nothing(family):
    module, options = family
    torch.manual_seed(0)
    encoder = module.Encoder(Image((1, 12, 12)), **options).double()
    x = torch.rand(5, 1, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), encoder(x))


@pytest.mark.parametrize("state", [(5,), (5, 3, 4)], ids=str)
def test_every_weight_of_a_decoder_learns(family, state):
    module, options = family
    decoder = module.Decoder(state, Image((1, 11, 11)), params=1, **options)
    decoder(torch.randn(4, *state)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_mlp_reads_vectors_and_may_be_linear():
    encoder = mlp.Encoder(Real((6,)), hidden=[])
    assert encoder(torch.rand(2, 6)).shape == (2, 6)
    assert mlp.Decoder((2,), Real((6,)), 1, hidden=[])(torch.rand(3, 2)).shape == (3, 1, 6)


def test_unknown_activation_is_refused():
    with pytest.raises(Refusal, match="ReLU"):
        mlp.Encoder(Real((6,)), hidden=[4], activation="Module")


def test_dropout_of_everything_is_refused():
    with located("network"), pytest.raises(Refusal, match=r"network.dropout=0"):
        gated_mlp.Encoder(Real((6,)), width=4, dropout=1.0)
