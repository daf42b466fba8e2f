"""Few labels, and few classes: which rows keep their labels."""

import numpy as np
import pytest
import torch

from vaekit.data.digits import Digits
from vaekit.data.module import DataModule
from vaekit.data.source import Rows
from vaekit.refusal import Refusal
from vaekit.spaces import Real


def kept(data):
    """Row number -> label, of the training rows that have one."""
    rows = data.in_order("train")
    return {int(row): int(rows.label[row]) for row in rows.indices if rows.label[row] >= 0}


def truth():
    return Digits().load("train").label


def test_labels_are_balanced_and_right_and_the_others_missing():
    data = DataModule(Digits(), labels=50)
    found = kept(data)
    assert len(found) == 50
    assert np.bincount(list(found.values())).tolist() == [5] * 10
    assert all(truth()[row] == label for row, label in found.items())
    seen = torch.cat([batch.label for batch in data.train_dataloader()])
    assert set(seen.tolist()) == {-1, *range(10)}


def test_the_other_splits_keep_their_labels_and_share_no_row_with_training():
    data, whole = DataModule(Digits(), labels=50), DataModule(Digits())
    for part in ("val", "test"):
        rows = data.in_order(part)
        assert torch.equal(rows.indices, whole.in_order(part).indices)
        assert (rows.label[rows.indices] >= 0).all()
        assert not set(rows.indices.tolist()) & set(data.in_order("train").indices.tolist())


def test_labels_are_fixed_by_the_seed_of_the_data():
    first = kept(DataModule(Digits(), labels=50, seed=3))
    torch.manual_seed(5)
    again = DataModule(Digits(), labels=50, seed=3, batch_size=7)
    again.shuffle_seed = 9
    assert kept(again) == first
    assert kept(DataModule(Digits(), labels=50, seed=4)) != first


def test_labeled_rows_come_again_until_they_are_a_fifth_of_an_epoch():
    data, whole = DataModule(Digits(), labels=50), DataModule(Digits())
    label = torch.cat([batch.label for batch in data.train_dataloader()])
    assert 0.19 < (label >= 0).double().mean() < 0.21
    assert (label < 0).sum() == whole.num_train - 50, "and every other row once"
    assert len(label) > data.num_train == whole.num_train, "which is the number of rows, not of their turns"


def test_classes_are_kept_in_training_and_all_are_tested():
    data = DataModule(Digits(), classes=[0, 1, 2])
    for part, expected in (("train", {0, 1, 2}), ("val", {0, 1, 2}), ("test", set(range(10)))):
        rows = data.in_order(part)
        assert set(rows.label[rows.indices].tolist()) == expected
    assert torch.equal(data.in_order("test").indices, DataModule(Digits()).in_order("test").indices)
    assert np.bincount(list(kept(DataModule(Digits(), classes=[0, 1, 2], labels=9)).values())).tolist() == [3, 3, 3]


class Unlabeled:
    name, space = "unlabeled", Real((2,))

    def load(self, split):
        return Rows(np.zeros((30, 2), np.float32)) if split == "train" else None


@pytest.mark.parametrize(
    ("source", "options", "fix"),
    [
        (Digits(), {"labels": 55}, "data.labels=50"),
        (Digits(), {"labels": 0}, "data.labels=10"),
        (Digits(), {"labels": 5}, "data.labels=10"),
        (Digits(), {"labels": 100_000}, "data.labels=1"),
        (Digits(), {"classes": []}, "data.classes=null"),
        (Digits(), {"classes": [77]}, "data.classes"),
        (Digits(), {"classes": [0, 1, 99]}, r"no training row has the label 99; use '?data.classes=\[0,1\]"),
        (Unlabeled(), {"labels": 10}, "data.labels=null"),
        (Unlabeled(), {"classes": [1]}, "data.classes=null"),
    ],
)
def test_refused(source, options, fix):
    with pytest.raises(Refusal, match=fix):
        DataModule(source, **options).setup()


def test_conditions_come_with_the_rows_of_arrays(tmp_path):
    from vaekit.data.arrays import Arrays

    condition = np.arange(60, dtype=np.float64).reshape(30, 2)
    np.savez(tmp_path / "rows.npz", x=np.zeros((30, 3)), condition=condition)
    data = DataModule(Arrays(tmp_path / "rows.npz", cache=tmp_path))
    rows = data.in_order("train")
    for batch in rows:
        assert batch.condition.dtype == torch.float32
    assert torch.equal(rows.condition, torch.from_numpy(condition).float())
