"""Enlarged maps and their gradients, compiled or not."""

import itertools
import shutil

import pytest
import torch
from torch import nn
from torch.nn import functional

from vaekit.networks.upsample import upsample


@pytest.mark.long
def test_each_value_is_that_of_the_nearest_position():
    @torch.compile(backend="eager", dynamic=False)
    def compiled(x, size):
        return upsample(x, size)

    for a, b in itertools.product([1, 2, 4, 7], [7, 8, 13, 28]):
        x = torch.randn(2, 3, a, 2)
        expected = functional.interpolate(x, size=(b, 9), mode="nearest")
        assert torch.equal(upsample(x, (b, 9)), expected)
        assert torch.equal(compiled(x, (b, 9)), expected)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # warnings of torch's compiler
def test_the_compiled_gradient_in_bfloat16_is_the_plain_one():
    """The compiled gradient of `interpolate` itself is 0 in torch 2.13."""
    first, last = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def loss(x):
        with torch.autocast("cpu", torch.bfloat16):
            return last(functional.silu(upsample(first(x), (14, 14)))).float().square().mean()

    def gradient(f):
        return torch.autograd.grad(f(x), first.weight)[0]

    x = torch.randn(8, 2, 7, 7)
    torch.testing.assert_close(gradient(torch.compile(loss, dynamic=False)), gradient(loss), rtol=0.05, atol=1e-3)
