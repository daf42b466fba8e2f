"""Treats denormal numbers, which slow a processor down many times, as zero."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

HARD = 2  # omp_pause_hard, in OpenMP's omp.h


@contextmanager
def flushed() -> Iterator[None]:
    """A context in which all computing threads treat denormal numbers as zero.

    A fifth of Adam's moments become denormal during training, and an Intel processor then trains at half its speed.
    `torch.set_flush_denormal` sets the calling thread alone. OpenMP's threads take the setting of the thread that
    creates them, so those that exist already are ended here and created again when they are next needed.
    """
    before = flushes()
    _set(True)
    try:
        yield
    finally:
        _set(before)


def flushes() -> bool:
    """Whether the calling thread treats denormal numbers as zero."""
    return not torch.tensor(1e-40, dtype=torch.float32, device="cpu").mul(1).item()


def _set(flush: bool) -> None:
    if flushes() != flush and torch.set_flush_denormal(flush) and os.name == "posix":
        end_threads = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)  # absent without OpenMP 5
        if end_threads is not None:
            end_threads(HARD)
