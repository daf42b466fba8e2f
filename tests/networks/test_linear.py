"""The linear layer agrees with that of torch for both libraries."""

import pytest
import torch
from torch.nn import functional as F

from vaekit.networks import linear
from vaekit.networks.linear import Linear, OneDNN

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch comes without oneDNN for this processor"
)


@pytest.fixture
def layer(monkeypatch):
    """As on a processor where oneDNN is faster, at any size; counts its products."""
    monkeypatch.setattr(linear, "mkl_is_slow", lambda: True)
    monkeypatch.setattr(linear, "LARGE", 0)
    products, apply = [], OneDNN.apply
    monkeypatch.setattr(OneDNN, "apply", lambda *inputs: products.append(1) or apply(*inputs))
    torch.manual_seed(0)
    made = Linear(7, 5)
    made.products = products
    return made


@pytest.mark.parametrize("bias", [True, False])
def test_values_and_derivatives_are_torch_s(layer, bias):
    if not bias:
        layer.bias = None
    x = torch.randn(3, 7, requires_grad=True)
    inputs = [x, *layer.parameters()]

    def derivatives(y):
        """The value, the gradient of a curved function of it, and the gradient of that gradient's length."""
        first = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(each.square().sum() for each in first), inputs)
        return [y, *first, *second]

    ours = derivatives(layer(x))
    assert layer.products
    torch.testing.assert_close(ours, derivatives(F.linear(x, layer.weight, layer.bias)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("x", [torch.randn(7, 3).T, torch.randn(1, 7).expand(3, 7), torch.randn(6, 14)[::2, ::2]])
def test_any_layout(layer, x):
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
    assert layer.products


@pytest.mark.long
def test_torch_multiplies_in_other_precisions_in_more_axes_and_where_it_traces(layer):
    x = torch.randn(3, 7)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer(x[None]).shape == (1, 3, 5)
    torch.func.jacrev(layer)(x)
    torch.export.export(torch.nn.Sequential(layer), (x,))
    assert layer.double()(x.double()).dtype == torch.float64
    assert not layer.products


def test_small_products_are_torch_s(layer, monkeypatch):
    monkeypatch.setattr(linear, "LARGE", 2**22)
    layer(torch.randn(3, 7))
    assert not layer.products
