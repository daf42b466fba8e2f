"""Dilated causal convolutions: shapes, no step sees a later one, no example its neighbors."""

import pytest
import torch

from vaekit.networks.sequence import Decoder, Encoder, blocks
from vaekit.spaces import Series


def space(series, steps):
    return Series((series, steps), [str(i) for i in range(series)], [0.0] * series, [1.0] * series)


@pytest.mark.parametrize(("series", "steps"), [(1, 2), (5, 30), (3, 100)])
def test_shapes_follow_from_the_space(series, steps):
    encoder = Encoder(space(series, steps), width=4, features=8)
    assert encoder(torch.randn(3, series, steps)).shape == (3, *encoder.out_shape) == (3, 8)
    assert Decoder((6,), space(series, steps), 2, width=4, features=8)(torch.randn(3, 6)).shape == (3, 2, series, steps)


@pytest.mark.parametrize("steps", [2, 3, 17, 64])
def test_a_step_reads_all_before_it_and_none_after(steps):
    torch.manual_seed(0)
    body = torch.nn.Sequential(*blocks(4, steps))
    h = torch.randn(1, 4, steps, requires_grad=True)
    for step in range(steps):
        (gradient,) = torch.autograd.grad(body(h)[..., step].sum(), h)
        reached = gradient.abs().sum((0, 1))
        assert (reached[: step + 1] > 0).all() and (reached[step + 1 :] == 0).all()


def test_neighbors_in_the_batch_change_nothing():
    torch.manual_seed(0)
    encoder = Encoder(space(2, 12), width=4).double()
    x = torch.randn(5, 2, 12).double()
    torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), encoder(x))


def test_every_weight_of_a_decoder_learns():
    decoder = Decoder((5,), space(2, 12), params=2, width=4)
    decoder(torch.randn(4, 5)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
