"""Waits until other processes leave the cores free: with one busy core, two OpenMP threads become much slower.

Without /proc/stat the load is unknown, and nothing waits.
"""

import os
import resource
from pathlib import Path
from time import sleep, time

STAT = Path("/proc/stat")
TICK = os.sysconf("SC_CLK_TCK") if STAT.exists() else 1


def spent() -> float:
    """Seconds that all cores together have worked since the machine was started."""
    if not STAT.exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, *_ = map(int, STAT.read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICK


def own() -> float:
    """Seconds that this process and those which it has waited for have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Foreign:
    """The number of cores that other processes have used since this object was created."""

    def __init__(self) -> None:
        self.since, self.others = time(), spent() - own()

    def cores(self) -> float:
        return max(0.0, spent() - own() - self.others) / (time() - self.since)


def wait(limit: float = 0.1, seconds: float = 1200.0) -> None:
    """Until others keep less than `limit` cores busy, but no longer than `seconds`."""
    end = time() + seconds
    while time() < end:
        foreign = Foreign()
        sleep(2)
        if foreign.cores() < limit:
            return
