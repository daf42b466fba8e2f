"""Images with labels, either of which may be missing."""

import numpy as np
import pytest
import torch

from vaekit.data.digits import Digits
from vaekit.data.module import DataModule
from vaekit.data.paired import Paired
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Pairs

DIGITS = {"of": "digits"}


@pytest.mark.parametrize("binarize", ["dynamic", "fixed", "threshold"])
def test_images_are_binarized_and_labels_stay(binarize):
    data = DataModule(Paired(**DIGITS), binarize=binarize)
    assert data.space == Pairs.of(Image((1, 8, 8), bins=2), 10)
    batch = data.sample("train", 50)
    data.space.check(batch.x)
    image, label, observed = data.space.split(batch.x)
    assert torch.equal(label.argmax(-1), batch.label) and observed.all() and batch.mask is None
    raw = DataModule(Digits(), binarize=binarize).sample("train", 50).x
    assert (image != raw).float().mean() < 0.3  # binarized by other draws, but the same images
    mean = data.mean()
    assert mean.shape == data.space.shape and (mean[-2:] == 1).all()
    torch.testing.assert_close(mean[64:74].sum(), torch.tensor(1.0))
    trained = data.transform(next(iter(data.train_dataloader())), training=True)
    data.space.check(trained.x)


def test_a_fraction_of_the_rows_lacks_one_modality():
    rows, whole = Paired(**DIGITS, missing=0.3).load("train"), Paired(**DIGITS).load("train")
    observed = rows.mask[:, -2:]
    assert whole.mask is None and (observed.sum(1) > 0).all()
    assert (observed.sum(1) == 1).sum() == round(0.3 * 1797)
    assert 0.1 < (~observed).mean(0)[0] < 0.2 and 0.1 < (~observed).mean(0)[1] < 0.2
    assert np.array_equal(rows.x, whole.x * rows.mask)
    assert np.array_equal(rows.mask, Paired(**DIGITS, missing=0.3).load("train").mask)
    assert not np.array_equal(rows.mask, Paired(**DIGITS, missing=0.3, seed=1).load("train").mask)
    assert np.array_equal(rows.label, whole.label)
    data = DataModule(Paired(**DIGITS, missing=0.3), binarize="dynamic")
    batch = data.sample("train", 100)
    data.space.check(batch.x)
    assert torch.equal(batch.mask, data.space.per_value(data.space.split(batch.x)[2]))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"missing": 1.5}, "data.missing=0.3"),
        ({"num_classes": 0}, "data.num_classes=10"),
        ({"of": "cats"}, "expected one of mnist"),
    ],
)
def test_invalid_settings_are_refused(settings, says):
    with pytest.raises(Refusal, match=says):
        Paired(**{**DIGITS, **settings})


def test_more_labels_than_classes_are_refused():
    with pytest.raises(Refusal, match=r"data\.num_classes=10"):
        Paired(**DIGITS, num_classes=7).load("train")


def test_pairs_split_into_their_parts():
    space = Pairs.of(Image((1, 2, 2), bins=2), 3)
    image, label = torch.tensor([[[[1.0, 0], [0, 1]]]] * 2), torch.tensor([2, 0])
    x = space.pair(image, label)
    space.check(x)
    assert x.tolist()[0] == [1, 0, 0, 1, 0, 0, 1, 1, 1]
    assert torch.equal(space.pair(image, None), space.keep_modality(x, 0))
    assert torch.equal(space.pair(None, label), space.keep_modality(x, 1))
    assert space.per_value(torch.tensor([True, False])).tolist() == [True] * 4 + [False] * 3 + [True, False]
    with pytest.raises(Refusal, match="draw such pairs"):
        space.check(torch.tensor([[1.0, 0, 0, 1, 0.5, 0.2, 0.3, 1, 1]]))
    with pytest.raises(Refusal, match="0 everywhere"):
        space.check(torch.tensor([[1.0, 0, 0, 1, 0, 0, 1, 0, 1]]))
    with pytest.raises(ValueError, match="shape"):
        Pairs((5,), Image((1, 2, 2)), 3)
