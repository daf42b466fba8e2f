"""dSprites, drawn by formula: nothing to download."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vaekit.data.source import Rows, Source, Split
from vaekit.spaces import Image

VALUES = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}  # number of values of each factor
WINDOW = torch.arange(-14, 15)  # pixel offsets around the center within which every shape lies


class Sprites(Source):
    """All 737,280 images of dSprites: 64x64 binary pixels, drawn by formula.

    A square, an ellipse or a heart in 6 scales, 40 orientations and 32x32 positions. Labels `[N, 5]` are the values of
    `factors`, each counted from 0. The rows are shuffled in a fixed order, so that the first of them show every factor.
    There is no official test split.

    References:
        Loic Matthey, Irina Higgins, Demis Hassabis, Alexander Lerchner. dSprites: Disentanglement testing Sprites
            dataset.
            2017. https://github.com/google-deepmind/dsprites-dataset
    """

    name = "sprites"
    factors = tuple(VALUES)
    space = Image((1, 64, 64), bins=2)

    def load(self, split: Split) -> Rows | None:
        if split == "test":
            return None
        order = np.random.default_rng(0).permutation(math.prod(VALUES.values()))
        label = np.stack(np.unravel_index(order, tuple(VALUES.values())), 1)
        return Rows(Drawn(label), label)


class Drawn:
    """Images of factors, drawn on access a batch at once, which is faster than reading them from a disk.

    Args:
        factors: `[N, 5]`.
    """

    def __init__(self, factors: np.ndarray):
        self.factors = torch.from_numpy(factors)

    def __len__(self) -> int:
        return len(self.factors)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return draw(self.factors[rows])


def draw(factors: Tensor) -> Tensor:
    """The images of factors, `[B, 1, 64, 64]`, uint8, 0 or 1.

    The shape is a square, an ellipse or a heart; scale goes from 0.5 to 1, orientation anticlockwise from 0 to 2 pi,
    both ends included, the center from 16 to 48 pixels from the left and from the top. A pixel is 1 where its own
    center lies inside. Of 320 original images 272 are reproduced exactly, and the others up to 4 pixels.

    Args:
        factors: `[B, 5]`: shape, scale, orientation, x, y.

    Example:
        >>> import torch
        >>> from vaekit.data.sprites import draw
        >>> draw(torch.tensor([[0, 5, 0, 16, 16]])).sum()
        tensor(361)
    """
    shape, values = factors[:, 0], factors.double()  # float32 could round a pixel on an edge this way or that
    scale, angle = 0.5 + values[:, 1] / 10, 2 * math.pi * values[:, 2] / 39
    center = 16 + 32 * values[:, 3:] / 31
    column, row = (center.long()[:, :, None] + WINDOW).unbind(1)
    dx, dy = column + 0.5 - center[:, :1], row + 0.5 - center[:, 1:]
    cos, sin = ((turn / scale)[:, None] for turn in (angle.cos(), angle.sin()))
    # each pixel of the window where it lies in the shape, upright and at scale 1: u to the right, v down
    u = (cos * dx)[:, None, :] - (sin * dy)[:, :, None]
    v = (sin * dx)[:, None, :] + (cos * dy)[:, :, None]
    x = torch.zeros(len(factors), 64, 64, dtype=torch.uint8)
    for number, inside in enumerate((_square, _ellipse, _heart)):
        of = (shape == number).nonzero()
        x[of[:, :, None], row[of].mT, column[of]] = inside(u[of[:, 0]], v[of[:, 0]]).byte()
    return x[:, None]


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) <= 9.6


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    return (u / 12.75) ** 2 + (v / 7.25) ** 2 <= 1


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """Inside of x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, 32 wide and 29 high, drawn 19.2 by 19.2:
    where y lies between its values at t and at pi - t, written in q = sin^2 t."""
    q, y = (u / 9.6).abs() ** (2 / 3), -2.17 - 29 / 19.2 * v
    return (y + 6 - 18 * q + 8 * q**2).abs() <= (11 + 8 * q) * (1 - q).clamp(min=0).sqrt()
