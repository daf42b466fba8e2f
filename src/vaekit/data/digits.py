"""Handwritten digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

import numpy as np

from vaekit.data.source import Rows, Source, Split
from vaekit.spaces import Image


class Digits(Source):
    """1,797 digits of 8x8 pixels with 17 gray levels, labeled 0-9; no official test split."""

    name = "digits"
    space = Image((1, 8, 8), bins=17)

    def load(self, split: Split) -> Rows | None:
        if split == "test":
            return None
        from sklearn.datasets import load_digits  # imported here: it takes a second

        digits = load_digits()
        return Rows(digits.images[:, None].astype(np.uint8), digits.target.astype(np.int64))
