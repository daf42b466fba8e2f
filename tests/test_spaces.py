import math
from inspect import isclass

import pytest
import torch

from helpers import SPACES
from spaces_of_z import DIM
from vaekit import spaces
from vaekit.refusal import Refusal
from vaekit.spaces import Codes, Image, Real, Space

EXPORTED = {each for each in vars(spaces).values() if isclass(each)}
KINDS = sorted(EXPORTED - {base for each in EXPORTED for base in each.__mro__[1:]}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_space_has_an_example_in_the_tests(kind):
    walked = {*map(type, SPACES.values()), *DIM}
    assert issubclass(kind, Space)
    assert kind in walked, (
        f"add an example of {kind.__name__} to SPACES in tests/helpers.py or, where it is one of latent variables, a "
        "grid over it to tests/spaces_of_z.py"
    )


def test_path_is_a_straight_line_with_its_ends():
    a, b = torch.randn(4, 3), torch.randn(4, 3)
    path = Real((3,)).path(a, b, torch.linspace(0, 1, 5))
    assert path.shape == (5, 4, 3)
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)
    torch.testing.assert_close(path[2], (a + b) / 2)


def test_codes_change_position_by_position():
    space = Codes((4, 1, 2), width=2)  # two positions, one behind the other, at each of two places
    a, b = torch.zeros(3, 4, 1, 2), torch.ones(3, 4, 1, 2)
    path = space.path(a, b, torch.linspace(0, 1, 5))
    assert path.shape == (5, 3, 4, 1, 2)
    assert [step[0].mean().item() for step in path] == [0, 0.25, 0.5, 0.75, 1]
    points = space.points(path)
    assert points.shape == (5, 3, 2, 1, 2, 2)
    assert torch.equal(points[..., 0], points[..., 1]), "points change as a whole"
    assert torch.equal(points[1, 0, :, 0, :, 0], torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_bits_per_dim_of_a_uniform_image_are_its_bits():
    # the uniform distribution over 256 levels costs 8 bits; the uniform density over the dequantized cube, 0 nats
    assert Image((1, 2, 2), bins=256).bits_per_dim(4 * math.log(256)) == pytest.approx(8)
    assert Image((1, 2, 2), bins=256, dequantized=True).bits_per_dim(0.0) == pytest.approx(8)
    assert Image((1, 2, 2), bins=None).bits_per_dim(1.0) is None
    assert Real((3,)).bits_per_dim(1.0) is None


@pytest.mark.parametrize(
    ("space", "values"),
    [
        (Image((1, 8, 8), bins=2), "binary"),
        (Image((1, 8, 8)), "discrete"),
        (Image((1, 8, 8), dequantized=True), "unit"),
        (Image((1, 8, 8), bins=None), "unit"),
        (Real((3,)), "continuous"),
    ],
)
def test_values(space, values):
    assert space.values == values


@pytest.mark.parametrize(
    ("space", "x", "says"),
    [
        (Real((3,)), torch.zeros(2, 4), "shape"),
        (Real((3,)), torch.tensor([[0.0, math.nan, 1.0]]), "NaN"),
        (Image((1, 2, 2)), torch.full((1, 1, 2, 2), 255.0), "0 to 1"),
        (Image((1, 2, 2), bins=2), torch.full((1, 1, 2, 2), 0.5), "data.binarize"),
        (Image((1, 2, 2), bins=17), torch.full((1, 1, 2, 2), 0.51), "17 gray values"),
    ],
)
def test_values_outside_are_refused(space, x, says):
    with pytest.raises(Refusal, match=says):
        space.check(x)


def test_values_inside_pass():
    Image((1, 2, 2), bins=17).check(torch.randint(17, (5, 1, 2, 2)) / 16)
    Image((1, 2, 2), bins=2).check(torch.ones(3, 1, 2, 2))
    Image((1, 2, 2), dequantized=True).check(torch.rand(3, 1, 2, 2))
