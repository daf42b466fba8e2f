"""Batches that Lightning iterates in place of a DataLoader."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data.source import Rows
from vaekit.refusal import Refusal


class Batches:
    """Rows in batches of raw x, for Lightning in place of a DataLoader: each batch is gathered at once.

    Args:
        rows: The rows of a source.
        indices: Which of them, `[n]`.
        batch_size: Rows a batch and process.
        epoch: Gives the number of the pass about to begin. A training pass is in an order that depends on `seed` and
            this number alone, and each of `world` processes gets equally many rows (some twice, where the number does
            not divide). None keeps the order: each row once, in one block for each process.
        seed: Seed of the order.
        rank: Number of this process.
        world: Number of processes.
        draw: Turns raw x `[B, ...]` and its row numbers `[B]` into x, for noise that belongs to the row.

    Example:
        >>> import numpy as np, torch
        >>> from vaekit.data.batches import Batches
        >>> from vaekit.data.source import Rows
        >>> [len(batch) for batch in Batches(Rows(np.zeros((5, 2))), torch.arange(5), batch_size=2)]
        [2, 2, 1]
    """

    def __init__(
        self,
        rows: Rows,
        indices: Tensor,
        batch_size: int,
        epoch: Callable[[], int] | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        draw: Callable[[Tensor, Tensor], Tensor] | None = None,
    ):
        self.x = torch.from_numpy(rows.x) if isinstance(rows.x, np.ndarray) else rows.x
        columns = (None if a is None else torch.from_numpy(a) for a in (rows.label, rows.mask, rows.condition))
        self.label, self.mask, self.condition = columns
        count = len(indices)
        self.indices = indices if epoch else indices[rank * count // world : (rank + 1) * count // world]
        self.batch_size, self.epoch, self.seed, self.draw = batch_size, epoch, seed, draw
        self.rank, self.world = rank, world
        self.file = getattr(rows.x, "filename", None)  # the file that x is mapped from
        self.bytes = os.path.getsize(self.file) if self.file else 0
        self._at = {"epoch": 0, "batch": 0}
        self._resume: dict[str, int] | None = None

    @property
    def rows_per_pass(self) -> int:
        """Rows that this process sees in a pass."""
        return -(-len(self.indices) // self.world) if self.epoch else len(self.indices)

    def __len__(self) -> int:
        return -(-self.rows_per_pass // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order, first = self.indices, 0
        if self.epoch:
            epoch = self.epoch()
            order = self._shuffled(epoch)
            if self._resume and self._resume["epoch"] == epoch:
                first = self._resume["batch"]
            self._at, self._resume = {"epoch": epoch, "batch": first}, None
        for number in range(first, len(self)):
            self._at["batch"] += 1
            yield self.gather(self._rows_of(number, order))

    def _rows_of(self, number: int, order: Tensor) -> Tensor:
        """The rows of one batch of a pass."""
        return order[number * self.batch_size : (number + 1) * self.batch_size]

    def gather(self, rows: Tensor) -> Batch:
        """The batch of these rows. Raises `Refusal` if the file that they are mapped from has become shorter."""
        if self.file and os.path.exists(self.file) and os.path.getsize(self.file) < self.bytes:
            # reading beyond its end would kill the process
            raise Refusal(f"{self.file} became shorter while it was read. Restore the file, and start the run again.")
        rows = rows.long()
        # index_select takes half the time of x[rows]
        x = self.x.index_select(0, rows) if isinstance(self.x, Tensor) else self.x[rows]
        return Batch(
            x=x if self.draw is None else self.draw(x, rows),
            label=None if self.label is None else self.label[rows],
            mask=None if self.mask is None else self.mask[rows],
            condition=None if self.condition is None else self.condition[rows],
            row=rows,
        )

    def sample(self, n: int, seed: int) -> Tensor:
        """The numbers of n distinct rows in random order; of all rows if there are fewer.

        Every prefix is a stratified sample: its class frequencies are those of all rows.
        """
        rows = self.indices.unique()
        order = rows[torch.from_numpy(permutation(len(rows), seed)).long()]
        if self.label is None or self.label.dim() != 1:
            return order[:n]
        _, which, count = self.label[order].unique(return_inverse=True, return_counts=True)
        by_class = which.argsort(stable=True)
        rank = torch.empty_like(by_class)  # of a row among those of its class
        rank[by_class] = torch.arange(len(order)) - (count.cumsum(0) - count)[which[by_class]]
        return order[((rank + 0.5) / count[which]).argsort(stable=True)[:n]]

    def _shuffled(self, epoch: int) -> Tensor:
        order = self.indices.numpy().copy()
        np.random.default_rng((self.seed, epoch)).shuffle(order)
        if len(order) % self.world:
            order = np.resize(order, self.rows_per_pass * self.world)  # which begins again
        return torch.from_numpy(order[self.rank :: self.world])

    def state_dict(self) -> dict[str, int]:
        """The position in the pass, which Lightning saves to resume within an epoch at the next batch."""
        return dict(self._at)

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._resume = state


class PoissonBatches(Batches):
    """Batches that each hold every row with the same probability, independently of all others.

    They hold `batch_size` rows on average. The generator is seeded by the operating system, so that nobody can repeat
    them. The accounting of `vaekit.training.privacy` is for such batches.
    """

    @cached_property
    def _secret(self) -> torch.Generator:
        generator = torch.Generator()
        generator.seed()
        return generator

    def _rows_of(self, number: int, order: Tensor) -> Tensor:
        return order[torch.rand(len(order), generator=self._secret) < self.batch_size / len(order)]


def permutation(n: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """The numbers below n in an order that depends on the seed alone, as 4-byte integers if they fit.

    Args:
        n: How many numbers.
        seed: One or several whole numbers.
    """
    order = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
    np.random.default_rng(seed).shuffle(order)
    return order
