"""Noise that is fixed for each row of the data: the same in any batch, on any rank and device."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def row_noise(seed: int, rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Uniform noise in [0, 1) that depends on the row alone, `[B, *shape]`.

    A counter hashed by SplitMix64: entry j of row i depends on the seed and i * size + j, and on nothing else. int64
    wraps around as uint64 does.

    Args:
        seed: Of all rows.
        rows: Row numbers `[B]`, int64.
        shape: Of the noise of one row.

    References:
        Guy Steele, Doug Lea, Christine Flood. Fast Splittable Pseudorandom Number Generators. In OOPSLA 2014.
            https://doi.org/10.1145/2714064.2660195

    Example:
        >>> import torch
        >>> from vaekit.data.noise import row_noise
        >>> both, one = (row_noise(0, torch.tensor(rows), (3,)) for rows in ([4, 7], [7]))
        >>> torch.equal(both[1], one[0])
        True
    """
    size = math.prod(shape)
    counter = rows[:, None] * size + torch.arange(size, device=rows.device)
    start = _mix(torch.tensor(seed, device=rows.device))  # hashed, so that neighboring seeds have independent noise
    hashed = _mix(start + counter * _signed(0x9E3779B97F4A7C15))
    return (_shifted(hashed, 40).float() * 2**-24).reshape(-1, *shape)  # 24 bits: all that float32 can hold


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shifted(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """A shift to the right that fills with zeros; torch's repeats the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(constant: int) -> int:
    """The int64 with the bits of an unsigned 64-bit constant."""
    return constant - (1 << 64)
