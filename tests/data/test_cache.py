import multiprocessing
import os
import signal
import time
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import torch

from vaekit.data.cache import cached, fingerprint
from vaekit.refusal import Refusal


def write(value):
    return lambda folder: np.save(folder / "x.npy", np.full(5, value))


def never(folder):
    raise AssertionError("built again")


def test_is_built_once_and_memory_mapped(tmp_path):
    cached(tmp_path, "rows", "a", write(1))
    arrays = cached(tmp_path, "rows", "a", never)
    assert list(arrays) == ["x"] and isinstance(arrays["x"], np.memmap) and arrays["x"].tolist() == [1] * 5
    torch.from_numpy(arrays["x"])[0] = 7  # no warning, and the file stays as it is
    assert cached(tmp_path, "rows", "a", never)["x"][0] == 1


def test_a_new_fingerprint_builds_again_and_removes_the_old(tmp_path):
    cached(tmp_path, "rows", "a", write(1))
    cached(tmp_path, "rows-test", "a", write(3))
    assert cached(tmp_path, "rows", "b", write(2))["x"][0] == 2
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["rows-b", "rows-test-a"]


def test_a_failed_build_leaves_no_files(tmp_path):
    def fail(folder):
        np.save(folder / "x.npy", np.zeros(3))
        raise Refusal("no such rows")

    with pytest.raises(Refusal, match="no such rows"):
        cached(tmp_path, "rows", "a", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_build_finds_its_earlier_files(tmp_path):
    def interrupt(folder):
        (folder / "half").touch()
        raise KeyboardInterrupt

    def go_on(folder):
        (folder / "half").unlink()
        write(4)(folder)

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "rows", "a", interrupt)
    assert cached(tmp_path, "rows", "a", go_on)["x"].tolist() == [4] * 5
    assert [folder.name for folder in tmp_path.iterdir()] == ["rows-a"]


def _build_slowly(folder, started):
    def build(arrays):
        np.save(arrays / "x.npy", np.zeros(3))
        started.set()
        time.sleep(60)

    cached(folder, "rows", "a", build)


@pytest.mark.long
def test_a_killed_build_is_never_used_and_removed_after_a_week(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_build_slowly, args=(tmp_path, started))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    left = list(tmp_path.iterdir())
    cached(tmp_path, "rows", "b", write(5))
    assert set(tmp_path.iterdir()) == {tmp_path / "rows-b", *left}, "it may still go on"
    for each in left:
        os.utime(each, (0, 0))
    cached(tmp_path, "rows", "c", write(6))
    assert [folder.name for folder in tmp_path.iterdir()] == ["rows-c"]


def test_concurrent_builds_wait_for_each_other(tmp_path):
    def slowly(folder):
        time.sleep(0.5)
        write(1)(folder)

    with ThreadPool(4) as pool:
        first = pool.apply_async(cached, (tmp_path, "rows", "a", slowly))
        time.sleep(0.2)
        others = pool.map(lambda build: cached(tmp_path, "rows", "a", build)["x"][0], [never] * 3)
    assert first.get()["x"][0] == 1 and others == [1, 1, 1]
    assert [folder.name for folder in tmp_path.iterdir()] == ["rows-a"]


def test_fingerprint_sees_names_sizes_and_times(tmp_path):
    file = tmp_path / "a"
    file.write_text("one")
    os.utime(file, (1, 1))
    first = fingerprint([file])
    assert fingerprint([file]) == first
    os.utime(file, (2, 2))
    touched = fingerprint([file])
    file.write_text("longer")
    os.utime(file, (1, 1))
    longer = fingerprint([file])
    renamed = fingerprint([file.rename(tmp_path / "b")])
    assert len({first, touched, longer, renamed}) == 4


def test_the_environment_names_the_folder(cache_folder):
    cached(None, "rows", "a", write(1))
    assert (cache_folder / "rows-a" / "x.npy").is_file()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match=r"data\.cache=FOLDER"):
        cached(tmp_path / "file", "rows", "a", write(1))


def test_a_cache_that_another_process_sweeps_is_built_again(tmp_path, monkeypatch):
    cached(tmp_path, "rows", "a", write(1))
    load, other = np.load, iter([lambda: cached(tmp_path, "rows", "b", write(2))])

    def swept_first(*args, **options):
        for sweep in other:
            sweep()
        return load(*args, **options)

    monkeypatch.setattr(np, "load", swept_first)
    assert cached(tmp_path, "rows", "a", write(3))["x"].tolist() == [3] * 5
    assert [folder.name for folder in tmp_path.iterdir()] == ["rows-a"]


def _ask(task):
    folder, fingerprint, value, start = task
    while time.time() < start:
        pass
    return cached(folder, "rows", fingerprint, write(value))["x"].tolist() == [value] * 5


@pytest.mark.long
def test_every_process_gets_its_array_while_others_build_and_sweep(tmp_path):
    with multiprocessing.get_context("fork").Pool(6) as pool:
        for number in range(15):
            start = time.time() + 0.01
            for prints in ("ssssss", "ababab"):
                tasks = [(tmp_path / prints / str(number), each, ord(each), start) for each in prints]
                assert all(pool.map(_ask, tasks, 1))
                assert all(pool.map(_ask, tasks[::-1], 1))
