import os

import numpy as np
import pytest
import torch

from vaekit.data.batches import Batches, permutation
from vaekit.data.source import Rows
from vaekit.refusal import Refusal

ROWS = Rows(
    np.arange(40, dtype=np.uint8).reshape(20, 2), label=np.arange(20), mask=np.arange(40).reshape(20, 2) % 3 > 0
)
INDICES = torch.tensor([1, 2, 3, 5, 8, 13, 16, 17, 18, 19])


def labels(batches):
    return [batch.label.tolist() for batch in batches]


def flat(lists):
    return [x for part in lists for x in part]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 64])
def test_evaluation_sees_each_row_once_in_order(world, batch_size):
    shards = [Batches(ROWS, INDICES, batch_size, rank=rank, world=world) for rank in range(world)]
    seen = [labels(shard) for shard in shards]
    assert flat(flat(seen)) == INDICES.tolist()
    assert [len(shard) for shard in shards] == [len(batches) for batches in seen]
    assert all(len(batch) <= batch_size for batches in seen for batch in batches)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 64])
def test_training_sees_each_row_and_every_process_equally_many(world, batch_size):
    shards = [Batches(ROWS, INDICES, batch_size, lambda: 0, rank=rank, world=world) for rank in range(world)]
    seen = [labels(shard) for shard in shards]
    assert set(flat(flat(seen))) == set(INDICES.tolist())
    assert len(flat(flat(seen))) == -(-10 // world) * world
    sizes = [[len(batch) for batch in batches] for batches in seen]
    assert all(other == sizes[0] for other in sizes)
    assert [len(shard) for shard in shards] == [len(batches) for batches in seen]


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch, batch_size=4):
        torch.manual_seed(np.random.randint(1000))
        return flat(labels(Batches(ROWS, INDICES, batch_size, lambda: epoch, seed)))

    assert order(0, 0) == order(0, 0) == order(0, 0, batch_size=3)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_a_batch_holds_the_rows_of_every_array_in_the_arrays_own_dtype():
    for batch in Batches(ROWS, INDICES, 3, lambda: 0):
        assert batch.x.dtype == torch.uint8 and batch.mask.dtype == torch.bool
        assert torch.equal(batch.x, torch.from_numpy(ROWS.x)[batch.label])
        assert torch.equal(batch.mask, torch.from_numpy(ROWS.mask)[batch.label])


def test_a_pass_is_resumed_at_the_next_batch_and_in_no_other_epoch():
    epoch = 3
    first = Batches(ROWS, INDICES, 3, lambda: epoch)
    pass_3 = iter(first)
    begun = [next(pass_3).label.tolist(), next(pass_3).label.tolist()]
    resumed = Batches(ROWS, INDICES, 3, lambda: epoch)
    resumed.load_state_dict(first.state_dict())
    assert begun + labels(resumed) == labels(Batches(ROWS, INDICES, 3, lambda: epoch))
    assert len(labels(resumed)) == 4  # the next pass is whole
    other = Batches(ROWS, INDICES, 3, lambda: epoch + 1)
    other.load_state_dict(first.state_dict())
    assert len(labels(other)) == 4


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_a_permutation_equals_that_of_numpy_in_half_the_memory(n):
    order = permutation(n, (3, 7))
    assert order.dtype == np.int32
    assert order.tolist() == np.random.default_rng((3, 7)).permutation(n).tolist()


def test_a_file_that_becomes_shorter_is_refused(tmp_path):
    """To read what is mapped beyond the end of a file would end the process."""
    np.save(tmp_path / "x.npy", np.ones((5000, 100), np.float32))
    batches = Batches(Rows(np.load(tmp_path / "x.npy", mmap_mode="c")), torch.arange(5000), 10)
    assert next(iter(batches)).x.sum() == 1000
    os.truncate(tmp_path / "x.npy", 1000)
    with pytest.raises(Refusal, match=r"x\.npy became shorter"):
        batches.gather(torch.tensor([4999]))
