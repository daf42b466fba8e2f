"""The number of threads is limited to the processors of this process."""

import os
import subprocess
import sys

import pytest
import torch

from vaekit import processors


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        (["100000 100000"], 1),
        (["150000 100000"], 2),
        (["10000 100000"], 1),
        (["max 100000"], 64),
        (["200000", "100000"], 2),
        (["-1", "100000"], 64),
        ([], 64),
    ],
)
def test_the_quota_of_a_container(tmp_path, monkeypatch, texts, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    files = [tmp_path / str(i) for i in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(f"{text}\n")
    assert processors.available((tuple(map(str, files)), ("/nowhere",)) if files else (("/nowhere",),)) == count


@pytest.mark.parametrize(("pinned", "variable", "threads"), [({3}, None, 1), ({0, 1, 2}, None, 3), ({3}, "4", 4)])
def test_threads_are_no_more_than_processors(monkeypatch, pinned, variable, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: pinned, raising=False)
    monkeypatch.setattr(processors, "QUOTAS", ())
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        processors.limit_threads()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes are not pinned here")
def test_cpu_affinity_is_respected():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import torch; torch.set_num_threads(2)\n"
        "from vaekit.processors import limit_threads; limit_threads(); print(torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "1"
