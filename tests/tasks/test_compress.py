"""Files that are restored bit for bit, and files that are refused."""

import hashlib
import json
import math
import os
import re
import shutil
import zlib
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from hydra.utils import instantiate

from helpers import TABLE, TEXT, config
from vaekit.coding import archive
from vaekit.hydra_job import compose
from vaekit.plan.compatibility import lacks
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.spaces import Audio, Image, Real, Space
from vaekit.tasks.compress import compress
from vaekit.tasks.decompress import decompress
from vaekit.tasks.shared.context import open_run

from .conftest import ROOT, train

GRAY = Image((1, 8, 8))
COLOR = Image((3, 8, 8))
BINARY = Image((1, 8, 8), bins=2)
BERNOULLI, LOGISTIC = "likelihood=bernoulli", "likelihood=discretized_logistic"


@pytest.fixture(scope="module")
def gray_run(untrained):
    return untrained(LOGISTIC, space=GRAY)


@pytest.fixture(scope="module")
def color_run(untrained):
    return untrained(LOGISTIC, space=COLOR)


@pytest.fixture(scope="module")
def binary_run(untrained):
    return untrained(BERNOULLI, space=BINARY)


@pytest.fixture
def opened(tmp_path):
    """The context of a run, with a folder for each call."""
    (tmp_path / "out").mkdir()
    return lambda run: open_run(run, tmp_path / "out", device="cpu", batch_size=16)


def numbers(levels, *shape):
    return np.random.default_rng(0).integers(0, levels, shape)


def round_trip(context, path, tmp_path):
    compress(context, input=path, output=tmp_path / "small")
    return decompress(context, input=tmp_path / "small", output=tmp_path / "back.npy")


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


# What comes back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "x"),
    [
        ("gray_run", numbers(256, 40, 1, 8, 8).astype(np.uint8)),
        ("gray_run", numbers(256, 1, 1, 8, 8).astype(np.int64)),
        ("gray_run", (numbers(256, 5, 1, 8, 8) / 255).astype(np.float32)),
        ("gray_run", numbers(256, 5, 1, 8, 8) / 255),
        ("gray_run", (numbers(256, 5, 1, 8, 8) / 255).astype(">f4")),
        ("gray_run", np.zeros((3, 1, 8, 8), np.uint8)),
        ("gray_run", np.asfortranarray(numbers(256, 7, 1, 8, 8).astype(np.uint8))),
        ("color_run", numbers(256, 17, 3, 8, 8).astype(np.uint8)),
        ("binary_run", numbers(2, 33, 1, 8, 8).astype(bool)),
        ("binary_run", numbers(2, 33, 1, 8, 8).astype(np.uint8)),
        ("binary_run", (255 * numbers(2, 33, 1, 8, 8)).astype(np.uint8)),
        ("binary_run", numbers(2, 33, 1, 8, 8).astype(np.float32)),
        ("digits_run", numbers(17, 20, 1, 8, 8).astype(np.uint8)),
        ("digits_run", (numbers(17, 20, 1, 8, 8) / 16).astype(np.float16)),
    ],
)
def test_arrays_come_back_bit_for_bit(request, opened, tmp_path, run, x):
    context = opened(request.getfixturevalue(run))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, y=np.zeros(3))
    for name in ("x.npy", "x.npz"):
        back = round_trip(context, tmp_path / name, tmp_path)
        assert back.dtype == x.dtype and back.shape == x.shape and back.tobytes() == x.tobytes()
        saved = np.load(tmp_path / "back.npy")
        assert saved.dtype == x.dtype and saved.tobytes() == x.tobytes()
        (tmp_path / "small").unlink()
        (tmp_path / "back.npy").unlink()


@pytest.mark.parametrize(
    ("run", "mode", "levels"),
    [("gray_run", "L", 256), ("color_run", "RGB", 256), ("binary_run", "1", 2), ("binary_run", "L", 2)],
)
def test_folders_of_images_come_back_pixel_for_pixel(request, opened, tmp_path, run, mode, levels):
    context, folder = opened(request.getfixturevalue(run)), tmp_path / "pictures"
    (folder / "below" / "it").mkdir(parents=True)
    pixels = {}
    for number, name in enumerate(["b.png", "a.bmp", "below/c.png", "below/it/d.webp", "below/a.tif"]):
        shape = (8, 8, 3) if mode == "RGB" else (8, 8)
        gray = np.random.default_rng(number).integers(0, levels, shape) * (255 // (levels - 1))
        if name.endswith("webp") and mode != "RGB":  # which knows colors alone
            continue
        picture = PIL.Image.fromarray(gray.astype(np.uint8) if mode != "1" else gray > 0)
        picture.save(folder / name, **({"lossless": True} if name.endswith("webp") else {}))
        pixels[name if name.endswith(".png") else f"{name}.png"] = (picture.mode, np.asarray(picture))
    (folder / "notes.txt").write_text("no image")
    before = contents(folder)
    compress(context, input=folder, output=tmp_path / "small")
    decompress(context, input=tmp_path / "small", output=tmp_path / "back")
    assert contents(folder) == before
    assert {str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*.*")} == set(pixels)
    for name, (kind, expected) in pixels.items():
        with PIL.Image.open(tmp_path / "back" / name) as image:
            assert image.mode == kind and np.array_equal(np.asarray(image), expected)


def test_images_of_fewer_gray_levels(opened, digits_run, tmp_path):
    """Gray values that stand for 17 levels, as k * 255 / 16 rounded."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    gray = np.rint(numbers(17, 8, 8) * 255 / 16).astype(np.uint8)
    PIL.Image.fromarray(gray).save(folder / "a.png")
    compress(opened(digits_run), input=folder / "a.png", output=tmp_path / "small")
    decompress(opened(digits_run), input=tmp_path / "small", output=tmp_path / "back")
    with PIL.Image.open(tmp_path / "back/a.png") as image:
        assert np.array_equal(np.asarray(image), gray)


def test_the_test_examples_come_back_as_gray_levels(digits, capsys):
    bits = compress(digits)
    x = decompress(digits, input=digits.out / "compressed.vaekit")
    expected = digits.examples(slice(None)).numpy() * 16
    assert x.dtype == np.uint8 and np.array_equal(x, expected)
    assert np.array_equal(np.load(digits.out / "restored.npy"), x)
    assert json.loads((digits.out / "compression.json").read_text()) == bits
    assert bits["vaekit"] == 8 * (digits.out / "compressed.vaekit").stat().st_size / x.size
    printed = capsys.readouterr().out
    assert all(f"{value:.4f}" in printed for value in bits.values())
    assert "nll (7 samples)" in printed


def test_a_model_worse_than_a_general_compressor_is_reported(opened, untrained, digits, capsys):
    bits = compress(opened(untrained("likelihood=discretized_logistic")))
    best = min(bits, key=lambda name: bits[name] if name not in ("elbo", "nll") else math.inf)
    assert bits[best] < bits["vaekit"]
    assert f"{best} needs fewer bits ({bits[best]:.4f} against {bits['vaekit']:.4f} per dimension)" in "".join(
        capsys.readouterr().out
    )


def test_the_batch_size_may_be_another(digits):
    compress(digits)
    other = replace(digits, batch_size=7)
    assert np.array_equal(decompress(other, input=digits.out / "compressed.vaekit"), 16 * digits.examples(slice(None)))


@pytest.mark.long
def test_the_file_is_within_two_percent_of_the_bound(opened, digits_run, tmp_path):
    from sklearn.datasets import load_digits

    np.save(tmp_path / "x.npy", np.tile(load_digits().images[:, None], (3, 1, 1, 1)).astype(np.uint8))
    bits = compress(opened(digits_run), input=tmp_path / "x.npy", num_samples=20)
    assert bits["elbo"] * 0.99 < bits["vaekit"] < bits["elbo"] * 1.02
    assert bits["nll"] < bits["elbo"]
    assert bits["vaekit"] < bits["PNG"]


@pytest.mark.long
def test_other_compressors_are_given_the_same_values(opened, gray_run, binary_run, tmp_path):
    """Constant images compress to their headers; random ones do not compress at all."""
    np.save(tmp_path / "x.npy", numbers(256, 500, 1, 8, 8).astype(np.uint8))
    gray = compress(opened(gray_run), input=tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", numbers(2, 5000, 1, 8, 8).astype(bool))
    binary = compress(opened(binary_run), input=tmp_path / "x.npy", overwrite=True)
    for name in ("gzip", "bz2", "xz"):
        assert 8 <= gray[name] < 8.2
        assert 1 <= binary[name] < 1.05
    assert gray["PNG"] > 8 and binary["PNG"] > 1
    assert gray.keys() == binary.keys() == {"vaekit", "elbo", "nll", "gzip", "bz2", "xz", "PNG", "WebP"}


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "x", "says"),
    [
        ("gray_run", np.zeros((5, 1, 8, 9), np.uint8), r"shape \[5, 1, 8, 9\].*reshape it to \[N, 1, 8, 8\]"),
        ("gray_run", np.zeros((5, 3, 8, 8), np.uint8), r"shape \[5, 3, 8, 8\]"),
        ("gray_run", np.zeros((5, 8, 8), np.uint8), "reshape"),
        ("gray_run", np.zeros((0, 1, 8, 8), np.uint8), "reshape"),
        ("gray_run", np.full((5, 1, 8, 8), 256), "values from 256 to 256, expected 0 to 255"),
        ("gray_run", np.full((5, 1, 8, 8), -1), "expected 0 to 255"),
        ("gray_run", np.full((5, 1, 8, 8), 1.5), "values from 1.5 to 1.5, expected 0 to 1"),
        ("gray_run", np.full((5, 1, 8, 8), 0.1234), "between the 256 gray values .* whole numbers from 0 to 255"),
        ("gray_run", np.full((5, 1, 8, 8), np.nan), "NaN .* drop those rows"),
        ("gray_run", np.full((5, 1, 8, 8), np.inf), "drop those rows"),
        ("gray_run", np.full((5, 1, 8, 8), "a"), "save it as uint8"),
        ("gray_run", np.full((5, 1, 8, 8), None), "save it again by numpy.save"),
        ("binary_run", np.full((5, 1, 8, 8), 2), "expected 0 to 1"),
        ("binary_run", np.full((5, 1, 8, 8), 7, np.uint8), "between the 2 gray values"),
        ("binary_run", np.full((5, 1, 8, 8), 0.5), "between the 2 gray values"),
    ],
)
def test_arrays_that_cannot_come_back_are_refused(request, opened, tmp_path, run, x, says):
    np.save(tmp_path / "x.npy", x)
    before = contents(tmp_path)
    with pytest.raises(Refusal, match=says):
        compress(opened(request.getfixturevalue(run)), input=tmp_path / "x.npy", output=tmp_path / "small")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "mode", "size", "says"),
    [
        ("a.png", "RGB", (8, 8), "8x8 pixels in mode RGB, expected 8x8 in mode L or 1"),
        ("a.png", "L", (8, 9), "8x9 pixels .*save converted copies in another folder"),
        ("a.png", "RGBA", (8, 8), "mode RGBA"),
        ("a.png", "P", (8, 8), "mode P"),
        ("a.png", "I;16", (8, 8), "mode I;16"),
        ("a.txt", "L", (8, 8), "no images .*name another folder"),
    ],
)
def test_images_that_would_have_to_be_changed_are_refused(opened, gray_run, tmp_path, name, mode, size, says):
    folder = tmp_path / "pictures"
    folder.mkdir()
    PIL.Image.new(mode, size).save(folder / name, "PNG")
    with pytest.raises(Refusal, match=says):
        compress(opened(gray_run), input=folder, output=tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_folders_with_something_wrong_are_refused(opened, gray_run, binary_run, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(Refusal, match="no images"):
        compress(opened(gray_run), input=folder)
    with pytest.raises(Refusal, match="no file or folder"):
        compress(opened(gray_run), input=tmp_path / "nowhere")
    PIL.Image.new("L", (8, 8)).save(folder / "a.bmp")
    PIL.Image.new("1", (8, 8)).save(folder / "b.bmp")
    with pytest.raises(Refusal, match="separate folders"):
        compress(opened(binary_run), input=folder)
    (folder / "b.bmp").unlink()
    PIL.Image.fromarray(numbers(256, 8, 8).astype(np.uint8)).save(folder / "a.bmp.png")
    with pytest.raises(Refusal, match=r"both be restored as a.bmp.png; rename one"):
        compress(opened(gray_run), input=folder)
    (folder / "a.bmp.png").write_bytes((folder / "a.bmp.png").read_bytes()[:50])
    (folder / "a.bmp").unlink()
    with pytest.raises(Refusal, match=r"Cannot read .*a.bmp.png as an image .*remove it"):
        compress(opened(gray_run), input=folder)


def test_vectors_are_refused(vectors):
    with pytest.raises(Refusal, match=r"discrete gray values, .* Train with data=digits"):
        compress(vectors)


@pytest.fixture
def small(opened, gray_run, tmp_path):
    """A compressed file, the values that it holds, and the context of its run."""
    np.save(tmp_path / "x.npy", numbers(256, 30, 1, 8, 8).astype(np.uint8))
    context = opened(gray_run)
    compress(context, input=tmp_path / "x.npy", output=tmp_path / "small")
    return context, tmp_path / "small"


def refuses(context, file, says):
    """Refused, and nothing written."""
    before = contents(file.parent)
    with pytest.raises(Refusal, match=says):
        decompress(context, input=file, output=file.with_name("back.npy"))
    assert contents(file.parent) == before


def test_a_file_that_was_cut_short_anywhere_is_refused(small):
    context, file = small
    whole = file.read_bytes()
    for length in [0, 3, 7, 8, 11, 12, 40, 100, len(whole) // 2, len(whole) - 33, len(whole) - 4, len(whole) - 1]:
        file.write_bytes(whole[:length])
        refuses(context, file, "is damaged or cut short|is not a compressed archive")
    file.write_bytes(whole + b"\0")
    refuses(context, file, "damaged")


def test_a_file_with_a_wrong_bit_anywhere_is_refused(small):
    context, file = small
    whole = file.read_bytes()
    for place in [*range(0, len(whole), 41), len(whole) - 1]:
        wrong = bytearray(whole)
        wrong[place] ^= 1 << place % 8
        file.write_bytes(wrong)
        refuses(context, file, "damaged|not a compressed archive|of version")


def test_another_version_is_refused(small):
    context, file = small
    whole = bytearray(file.read_bytes())
    whole[len(archive.MAGIC)] = archive.VERSION + 1
    file.write_bytes(whole)
    refuses(context, file, "has format version 2, expected 1; decompress it with the version")


def test_another_model_is_refused(small, opened, untrained):
    _, file = small
    other = untrained(LOGISTIC, "network.hidden=[15]", space=GRAY)
    refuses(opened(other), file, r"compressed by another model .*run=.*/run|compressed by another model")


def sealed(file, change):
    """The file with its header changed, and checksums that fit."""
    body = file.read_bytes()[:-32]
    start = len(archive.MAGIC) + 5
    size = int.from_bytes(body[start - 4 : start], "little")
    header = json.loads(zlib.decompress(body[start : start + size]))
    change(header)
    packed = zlib.compress(json.dumps(header).encode())
    body = body[: start - 4] + len(packed).to_bytes(4, "little") + packed + body[start + size :]
    file.write_bytes(body + hashlib.sha256(body).digest())


def test_values_that_are_not_the_original_s_are_refused(small):
    context, file = small
    sealed(file, lambda header: header.update(checksum="0" * 64))
    refuses(context, file, "did not come back as they were, so nothing was written")


def test_a_foreign_header_is_refused(small):
    context, file = small
    sealed(file, lambda header: header.pop("form"))
    refuses(context, file, "not written by vaekit")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(stream=7),
        lambda header: header.update(form=[]),
        lambda header: header.update(run=7),
        lambda header: header.update(checksum={}),
        lambda header: header.update(condition=[1] * 29),
        lambda header: header.update(condition="x"),
        lambda header: header["form"].update(scale="\n"),
        lambda header: header["form"].update(scale=7),
        lambda header: header["form"].update(dtype="<U1000000"),
        lambda header: header["form"].update(dtype="object"),
        lambda header: header["form"].update(dtype=None),
        lambda header: header["form"].update(names=["a.png"]),
        lambda header: header["form"].update(names=7),
        lambda header: header["form"].update(names=[7] * 30),
        lambda header: header["stream"].update(spare=math.inf),
        lambda header: header["stream"].update(spare=-1),
        lambda header: header["stream"].update(sizes=[]),
        lambda header: header["stream"].update(sizes=[0, 30]),
        lambda header: header["stream"].update(sizes=[True]),
        lambda header: header["stream"].update(sizes=7),
    ],
)
def test_a_false_header_is_refused(small, change):
    context, file = small
    sealed(file, change)
    refuses(context, file, "not written by vaekit|does not fit the values of this run")


@pytest.mark.parametrize("sizes", [[10**9], [10**30], [1] * 100_000, [10] * 10_000])
def test_false_sizes_take_neither_memory_nor_time(small, sizes):
    context, file = small
    sealed(file, lambda header: header["stream"].update(sizes=sizes))
    refuses(context, file, "did not come back as they were")


def with_header(packed):
    body = archive.MAGIC + bytes([archive.VERSION]) + len(packed).to_bytes(4, "little") + packed
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"[" * 100_000, "nested too deep"),
        (b"22", "no attribute"),
        (b" " * 100_000_000, "too long"),
        (b"", "Expecting"),
    ],
)
def test_a_header_that_is_not_an_object_is_refused(tmp_path, header, reason):
    file = tmp_path / "small"
    file.write_bytes(with_header(zlib.compress(header)))
    with pytest.raises(Refusal, match=f"not written by vaekit .*{reason}"):
        archive.read(file)


@pytest.mark.parametrize(
    "name", ["../out.png", "/tmp/out.png", "a/../../out.png", "..\\out.png", "", "C:out.png", "\0.png", "\ud800.png"]
)
def test_no_archive_writes_outside_its_folder(opened, gray_run, tmp_path, name):
    (tmp_path / "pictures").mkdir()
    PIL.Image.new("L", (8, 8)).save(tmp_path / "pictures/a.png")
    file = tmp_path / "small"
    compress(opened(gray_run), input=tmp_path / "pictures", output=file)
    sealed(file, lambda header: header["form"].update(names=[name]))
    before = contents(tmp_path)
    with pytest.raises(Refusal, match="Do not trust this archive"):
        decompress(opened(gray_run), input=file, output=tmp_path / "back")
    assert contents(tmp_path) == before


# Where files go -------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_by_default(small, tmp_path):
    context, file = small
    with pytest.raises(Refusal, match=r"exists already; .* task.overwrite=true"):
        compress(context, input=tmp_path / "x.npy", output=file)
    compress(context, input=tmp_path / "x.npy", output=file, overwrite=True)
    (tmp_path / "back.npy").write_text("dear")
    with pytest.raises(Refusal, match="exists already"):
        decompress(context, input=file, output=tmp_path / "back.npy")
    assert (tmp_path / "back.npy").read_text() == "dear"
    decompress(context, input=file, output=tmp_path / "back.npy", overwrite=True)
    assert np.array_equal(np.load(tmp_path / "back.npy"), np.load(tmp_path / "x.npy"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_originals_are_never_written_to(small, tmp_path, overwrite):
    context, file = small
    (tmp_path / "pictures").mkdir()
    PIL.Image.new("L", (8, 8)).save(tmp_path / "pictures/a.png")
    before = contents(tmp_path)
    for given in ("x.npy", "pictures", "pictures/a.png"):
        with pytest.raises(Refusal, match="which is not changed"):
            compress(context, input=tmp_path / given, output=tmp_path / given, overwrite=overwrite)
    with pytest.raises(Refusal, match="which is not changed"):
        compress(context, tmp_path / "pictures", output=tmp_path / "pictures/a.png", overwrite=overwrite)
    with pytest.raises(Refusal, match="which is not changed"):
        decompress(context, input=file, output=file, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_other_files_of_a_folder_are_kept(opened, gray_run, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    PIL.Image.new("L", (8, 8), 7).save(folder / "a.png")
    compress(opened(gray_run), input=folder, output=tmp_path / "small")
    back = shutil.copytree(folder, tmp_path / "back")
    PIL.Image.new("L", (8, 8)).save(back / "a.png")
    (back / "notes.txt").write_text("mine")
    decompress(opened(gray_run), input=tmp_path / "small", output=back, overwrite=True)
    assert (back / "notes.txt").read_text() == "mine"
    assert (back / "a.png").read_bytes() != b""
    with PIL.Image.open(back / "a.png") as image:
        assert np.asarray(image).max() == 7
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "small", "back", "out"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"output": "nowhere/small"}, "There is no folder"),
        ({"overwrite": "yes"}, "task.overwrite=true"),
        ({"num_samples": 0}, "use task.num_samples=1"),
    ],
)
def test_settings_are_checked(small, tmp_path, words, says):
    with pytest.raises(Refusal, match=says):
        compress(small[0], input=tmp_path / "x.npy", **words)


def test_an_array_output_requires_an_array_file_name(small, tmp_path):
    context, file = small
    with pytest.raises(Refusal, match=r"use task.output=.*back.npy"):
        decompress(context, input=file, output=tmp_path / "back")


def test_a_missing_file_is_refused(small, tmp_path):
    with pytest.raises(Refusal, match="give the file that task=compress wrote"):
        decompress(small[0], input=tmp_path / "nowhere")
    with pytest.raises(Refusal, match="not a compressed archive"):
        decompress(small[0], input=tmp_path / "x.npy")


# The command line -----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_both_tasks_by_the_command_line(apply, digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run")
    code, printed = apply(f"run={run}", "device=cpu", "task=compress")
    assert code == 0, printed
    assert {path.name for path in (run / "tasks/compress").iterdir()} == {"compressed.vaekit", "compression.json"}
    code, printed = apply(f"run={run}", "device=cpu", "task=decompress")
    assert code == 0, printed
    assert len(np.load(run / "tasks/decompress/restored.npy")) == 359
    # once more, with images that go into a folder
    (tmp_path / "pictures").mkdir()
    for shade in (0, 255):
        PIL.Image.new("L", (8, 8), shade).save(tmp_path / f"pictures/{shade}.png")
        code, printed = apply(f"run={run}", "device=cpu", "task=compress", f"task.input={tmp_path}/pictures")
        assert code == 0, printed
        code, printed = apply(f"run={run}", "device=cpu", "task=decompress")
        assert code == 0, printed
    assert {path.name for path in (run / "tasks/decompress/restored").iterdir()} == {"0.png", "255.png"}


def test_a_refusal_by_the_command_line_leaves_nothing(apply, digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run")
    file = tmp_path / "small"
    assert apply(f"run={run}", "device=cpu", "task=compress", f"task.output={file}")[0] == 0
    file.write_bytes(file.read_bytes()[:-10])
    words = f"run={run}", "device=cpu", "task=decompress", f"task.input={file}", f"task.output={tmp_path}/back.npy"
    code, printed = apply(*words)
    assert code == 1
    assert "damaged or cut short" in printed and "Traceback" not in printed
    assert not (tmp_path / "back.npy").exists()


# MNIST ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="set VAEKIT_DATA to a folder that holds MNIST")
@pytest.mark.parametrize(
    ("overrides", "beaten"),
    [
        (["data.binarize=fixed", "trainer.max_epochs=3"], {"gzip", "bz2", "xz", "PNG", "WebP"}),
        (["data.binarize=none", LOGISTIC, "trainer.max_epochs=1"], {"PNG", "WebP"}),
    ],
)
def test_mnist(tmp_path, overrides, beaten):
    assert ROOT.is_dir()
    size = "network.hidden=[512,256]", "latents.dim=32", "evaluation.num_samples=2"
    run = train(tmp_path / "run", "model=mlp_vae", "data=mnist", *size, *overrides)
    context = open_run(run, tmp_path, device="cpu")
    bits = compress(context)
    x = decompress(context, input=tmp_path / "compressed.vaekit")
    levels = context.vae.space.bins
    assert np.array_equal(x, (context.examples(slice(None)) * (levels - 1)).round().numpy().astype(np.uint8))
    assert len(x) == 10_000
    assert bits["elbo"] * 0.99 < bits["vaekit"] < bits["elbo"] * 1.02
    assert all(bits["vaekit"] < bits[name] for name in beaten)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (Real((4,)), ["network=mlp", "likelihood=gaussian"]),
        (Image((1, 8, 8), bins=None), ["likelihood=continuous_bernoulli"]),
        (Image((1, 8, 8), dequantized=True), ["likelihood=gaussian", "data.dequantize=true"]),
        (Image((1, 8, 8), bins=17), ["likelihood=categorical", "prior=flow"]),
        (TABLE, ["model=table_vae", "likelihood=table"]),
        (TEXT, ["model=text_vae"]),
        (Audio((1, 40, 40)), ["model=audio_vae", "likelihood=gaussian"]),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Space) else " ".join(each),
)
def test_what_is_suggested_for_a_model_that_cannot_be_coded_gives_one_that_can(space, words, tmp_path):
    missing, advice = lacks(Plan.read(config(*words), space), compress)
    assert missing
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    first = advice.partition(" or ")[0].replace("FILE", f"{tmp_path}/x.npy")
    typed = re.findall(r"\S+=[^\s,]+", first)
    if "data=" in advice:
        composed = compose("train", [*typed, f"data.cache={tmp_path}"])
        space = instantiate(composed.data.module, _convert_="all").space
    else:
        composed, space = compose("train", [*words, *typed]), replace(space, dequantized=False)
    assert lacks(Plan.read(composed, space), compress) == ([], "")
