"""Images and their labels as one example."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from vaekit.data.digits import Digits
from vaekit.data.source import Rows, Source, Split
from vaekit.data.torchvision_set import TorchvisionSet
from vaekit.refusal import Refusal
from vaekit.spaces import Pairs


class Paired(Source):
    """The images and labels of another data set in one array, uint8, in which the largest gray level is 1.

    Args:
        of: `digits`, or the name of a `TorchvisionSet`.
        num_classes: Number of classes.
        root: See `TorchvisionSet`.
        cache: See `TorchvisionSet`.
        image_size: See `TorchvisionSet`.
        missing: Fraction of the rows, except official test rows, that lack either the image or the label, each with
            probability 1/2.
        seed: Seed of these draws.

    Raises:
        Refusal: If the name or the fraction is wrong, and on loading if a label is not below `num_classes`.
    """

    name = "paired"

    def __init__(
        self,
        of: str = "mnist",
        num_classes: int = 10,
        root: str | Path = "data",
        cache: str | Path | None = None,
        image_size: int | None = None,
        missing: float = 0.0,
        seed: int = 0,
    ):
        if not 0 <= missing <= 1:
            raise Refusal(f"Got data.missing={missing}, expected a fraction from 0 to 1, for example data.missing=0.3.")
        if num_classes < 1:
            raise Refusal(f"Got data.num_classes={num_classes}, expected at least 1, for example data.num_classes=10.")
        self.of: Source = Digits() if of == "digits" else TorchvisionSet(of, root, cache, image_size)
        self.num_classes, self.cache, self.missing, self.seed = num_classes, cache, missing, seed

    @cached_property
    def space(self) -> Pairs:
        return Pairs.of(self.of.space, self.num_classes)  # type: ignore[arg-type]

    def load(self, split: Split) -> Rows | None:
        rows = self.of.load(split)
        if rows is None:
            return None
        assert isinstance(rows.x, np.ndarray) and rows.label is not None
        if rows.label.max() >= self.num_classes:
            raise Refusal(
                f"data.of={self.of.name} has labels up to {rows.label.max()}, expected below {self.num_classes}; "
                f"use data.num_classes={rows.label.max() + 1}."
            )
        image, n = rows.x.reshape(len(rows), -1), len(rows)
        most = (self.space.image.bins or 2) - 1
        label = np.eye(self.num_classes, dtype=image.dtype)[rows.label] * most
        whole = np.concatenate([image, label, np.full((n, self.space.modalities), most, image.dtype)], 1)
        if split == "test" or not self.missing:
            return Rows(whole, rows.label)
        random = np.random.default_rng(self.seed)
        incomplete = random.permutation(n)[: round(self.missing * n)]
        observed = np.ones((n, self.space.modalities), dtype=bool)
        observed[incomplete, random.integers(self.space.modalities, size=len(incomplete))] = False
        mask = np.concatenate([observed.repeat(self.space.sizes[:-1], 1), observed], 1)
        return Rows(whole * mask, rows.label, mask)
