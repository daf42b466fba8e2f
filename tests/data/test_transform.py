import pytest
import torch

from vaekit.batch import Batch
from vaekit.data.transform import Transform


def gray(*values, count=1):
    return torch.tensor(values, dtype=torch.uint8).reshape(1, 1, 1, -1).expand(count, 1, 1, len(values))


def test_gray_levels_are_scaled_to_0_and_1():
    x = Transform(17)(Batch(gray(0, 4, 16)), training=True).x
    assert x.dtype == torch.float32 and x.flatten().tolist() == [0, 0.25, 1]


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_threshold_is_at_one_half(levels):
    k = torch.arange(levels, dtype=torch.uint8).reshape(1, 1, 1, -1)
    x = Transform(levels, "threshold")(Batch(k), training=True).x
    assert torch.equal(x, (k.double() / (levels - 1) >= 0.5).float())


@pytest.mark.parametrize("levels", [17, 256])
def test_dynamic_draws_have_the_gray_value_as_their_mean_and_never_repeat(levels):
    torch.manual_seed(0)
    k = gray(0, 1, levels // 3, levels - 2, levels - 1, count=20_000)
    transform = Transform(levels, "dynamic")
    x = transform(Batch(k), training=True).x
    assert set(x.unique().tolist()) == {0.0, 1.0}
    p = k[0].flatten().double() / (levels - 1)
    error = (x.double().mean(0).flatten() - p).abs()
    assert (error <= 5 * (p * (1 - p) / 20_000).sqrt()).all()  # exact at 0 and 1
    assert not torch.equal(x, transform(Batch(k), training=True).x)


def test_draws_from_given_noise_have_the_gray_value_as_their_mean():
    k, transform = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, -1), Transform(256, "fixed")
    u = (torch.arange(2550) / 2550).reshape(-1, 1, 1, 1)
    x = transform(Batch(transform.draw(k.expand(2550, 1, 1, 256), u)), training=False).x
    assert torch.allclose(x.mean(0).flatten(), torch.arange(256) / 255, atol=1e-3)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-24])
def test_dequantized_values_stay_in_their_cell(levels, u):
    k, transform = torch.arange(levels, dtype=torch.uint8).reshape(1, 1, 1, -1), Transform(levels, dequantize=True)
    x = transform.draw(k, torch.full(k.shape, u))
    assert torch.equal((x.double() * levels).floor(), k.double())
    assert x.min() > 0 and x.max() < 1


def test_dequantization_draws_fill_the_cell():
    torch.manual_seed(0)
    x = Transform(256, dequantize=True)(Batch(gray(100, count=10_000)), training=True).x * 256 - 100
    assert 0 <= x.min() < 0.01 and 0.99 < x.max() < 1 and x.mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32])
def test_flip_is_a_draw_for_each_image(dtype):
    torch.manual_seed(0)
    x = torch.tensor([[1, 0, 0], [1, 1, 0]], dtype=dtype).expand(1000, 1, 2, 3)
    flipped = Transform(2, flip=True)(Batch(x), training=True).x
    mirrored = (flipped == x.flip(-1).float()).flatten(1).all(1)
    kept = (flipped == x.float()).flatten(1).all(1)
    assert (mirrored ^ kept).all() and 400 < mirrored.sum() < 600


def test_shift_is_a_draw_for_each_image_and_pads_with_zeros():
    torch.manual_seed(0)
    x = torch.zeros(2000, 2, 7, 7, dtype=torch.uint8)
    x[:, 0, 3, 3], x[:, 1, 3, 3] = 1, 1
    shifted = Transform(2, shift=2)(Batch(x), training=True).x
    assert (shifted[:, 0] == shifted[:, 1]).all() and (shifted.sum((1, 2, 3)) == 2).all()
    places = shifted[:, 0].flatten(1).argmax(1)
    assert set(places.tolist()) == {7 * r + c for r in range(1, 6) for c in range(1, 6)}
    edge = Transform(2, shift=2)(Batch(torch.ones(2000, 1, 7, 7, dtype=torch.uint8)), training=True).x
    assert (edge.sum((1, 2, 3)).unique() == torch.tensor([25.0, 30, 35, 36, 42, 49])).all()


def test_masks_move_with_their_images():
    torch.manual_seed(0)
    x = torch.rand(50, 1, 6, 5)
    batch = Transform(None, flip=True, shift=1)(Batch(x, mask=x > 0.5), training=True)
    moved = batch.x != 0  # not padded
    assert torch.equal(batch.mask[moved], (batch.x > 0.5)[moved].float()) and (batch.mask[~moved] == 0).all()


def test_evaluation_is_not_augmented():
    x = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(Transform(256, flip=True, shift=3)(Batch(x), training=False).x, x / 255)
