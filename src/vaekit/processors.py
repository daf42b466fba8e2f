"""The processors that this process may use: fewer than the machine has in a container, or if it is pinned."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch

QUOTAS = (  # files of cgroups, versions 2 and 1, with the quota and its period in microseconds
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)


def limit_threads() -> None:
    """Let torch use no more threads than there are processors; OMP_NUM_THREADS takes precedence.

    Threads that wait for one another on too few processors are several times slower than one.
    """
    if "OMP_NUM_THREADS" not in os.environ and available() < torch.get_num_threads():
        torch.set_num_threads(available())


def available(quotas: Sequence[Sequence[str]] | None = None) -> int:
    """Number of processors that the process may use, at least 1: by its affinity, and by the quota of its container.

    Args:
        quotas: Fields of the quota files of cgroups; None to read them.
    """
    pinned = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    counts = [len(pinned)]
    for files in QUOTAS if quotas is None else quotas:
        try:
            quota, period = map(float, " ".join(Path(file).read_text() for file in files).split())
        except (OSError, ValueError):  # there is none, which version 2 writes as "max"
            continue
        if quota > 0:
            counts.append(math.ceil(quota / period))
    return max(1, min(counts))
