"""Memory that a step frees serves the next one."""

import subprocess
import sys
from platform import libc_ver

import pytest

COUNT = """
import resource, sys, torch
from vaekit import memory

if "kept" in sys.argv:
    memory.keep_freed()
x = torch.ones(2**24, requires_grad=True)  # 64 MB, so much that malloc by default requests it again each time
def steps():
    for _ in range(5):
        (x.sin() * x).exp().sum().backward()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
steps()
before = faults()
steps()
print(faults() - before)
"""


@pytest.mark.long
@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="sets glibc alone")
def test_freed_memory_serves_the_next_tensors():
    def pages(*words: str) -> int:
        done = subprocess.run([sys.executable, "-c", COUNT, *words], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert pages("kept") < pages() / 5  # not none: freed memory may lie in pieces a little too small
