"""dSprites, drawn: its factors, its shapes, and the genuine images."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vaekit.data.batches import Batches
from vaekit.data.module import DataModule
from vaekit.data.sprites import VALUES, Sprites, draw


@pytest.fixture(scope="module")
def rows():
    return Sprites().load("train")


def drawn(*factors):
    return draw(torch.tensor(factors))[:, 0].float()


def test_every_combination_of_factors_occurs_once(rows):
    assert len(rows) == len(rows.label) == 737_280
    assert Sprites().load("test") is None
    numbers = np.ravel_multi_index(tuple(rows.label.T), tuple(VALUES.values()))
    assert len(np.unique(numbers)) == len(rows)
    for factor, count in enumerate(VALUES.values()):  # the first rows show them all
        assert len(np.unique(rows.label[:300, factor])) == count


def test_images_depend_only_on_their_factors(rows):
    numbers = torch.tensor([700_000, 3, 41, 3])
    batch = Batches(rows, torch.arange(len(rows)), 4).gather(numbers)
    assert batch.x.shape == (4, 1, 64, 64) and batch.x.dtype == torch.uint8
    assert torch.equal(batch.label, torch.from_numpy(rows.label)[numbers])
    assert torch.equal(batch.x, torch.cat([draw(batch.label[[row]]) for row in range(4)]))
    assert set(batch.x.unique().tolist()) == {0, 1}


@pytest.mark.long
def test_the_data_module_takes_it():
    data = DataModule(Sprites(), batch_size=8, validation=5000, test=10_000)
    assert data.space.values == "binary"
    assert data.num_train == 722_280
    examples = data.sample("test", 50)
    data.space.check(examples.x)
    assert examples.label.shape == (50, 5)
    assert len(examples.label[:, 0].unique()) == 3
    assert data.mean().shape == (1, 64, 64)


@pytest.mark.parametrize(("shape", "area"), [(0, 19.2**2), (1, math.pi * 12.75 * 7.25), (2, 225.2)])
def test_areas_grow_with_the_square_of_the_scale(shape, area):
    for scale in range(6):
        images = drawn(*([shape, scale, orientation, 5, 17] for orientation in range(40)))
        expected = area * (0.5 + scale / 10) ** 2
        assert images.sum((1, 2)).float().mean().item() == pytest.approx(expected, rel=0.02)


def test_positions_are_the_centers():
    pixels = torch.arange(64) + 0.5
    for x, y in [(0, 0), (31, 0), (10, 20), (31, 31)]:
        (image,) = drawn([0, 5, 0, x, y])
        assert (image.sum(0) @ pixels / image.sum()).item() == pytest.approx(16 + 32 * x / 31, abs=0.5)
        assert (image.sum(1) @ pixels / image.sum()).item() == pytest.approx(16 + 32 * y / 31, abs=0.5)


def test_orientations_turn_anticlockwise():
    _, quarter, _, whole = images = drawn(*([1, 5, orientation, 0, 0] for orientation in (0, 5, 10, 39)))
    assert torch.equal(images[0], whole)
    assert images[0].any(0).sum() > 1.5 * images[0].any(1).sum()  # lies along x at first
    right, left = quarter[:16, 16:32].sum(), quarter[:16, :16].sum()
    assert right > left  # and then rises to the right


def test_the_heart_stands_on_its_tip():
    (image,) = drawn([2, 5, 0, 0, 0])
    widths = image.sum(1)[image.any(1)]
    assert widths[-1] <= 3 and widths.max() == widths[: len(widths) // 2].max()
    assert torch.equal(image[:, :32], image[:, :32].flip(1))
    assert image[6:9, 15:17].sum() < image[6:9, 11:13].sum()  # the notch


def test_the_window_cuts_nothing_off(monkeypatch):
    factors = torch.cartesian_prod(*map(torch.arange, (3, 6, 40, 2, 2)))
    before = draw(factors)
    monkeypatch.setattr("vaekit.data.sprites.WINDOW", torch.arange(-16, 16))
    assert torch.equal(before, draw(factors))


@pytest.mark.parametrize(("shape", "exact", "mean", "most"), [(0, 62, 0.13, 4), (1, 42, 0.88, 4), (2, 168, 0.18, 4)])
def test_the_genuine_images(shape, exact, mean, most):
    """320 frames of the pictures that the authors show; of 64 squares, 64 ellipses and 192 hearts."""
    path = Path(os.environ.get("VAEKIT_DATA", ""), "dSprites_reference/dsprites_gif_frames.npz")
    if not path.exists():
        pytest.skip(f"there is no {path}")
    with np.load(path) as genuine:
        images, factors = torch.from_numpy(genuine["imgs"]), torch.from_numpy(genuine["latents_classes_inferred"])
    of = factors[:, 1] == shape
    wrong = (draw(factors[of, 1:].long())[:, 0] != images[of]).sum((1, 2))
    assert (wrong == 0).sum() >= exact
    assert wrong.float().mean() < mean and wrong.max() <= most
