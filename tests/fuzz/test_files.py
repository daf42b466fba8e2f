"""Files that may have been changed by hand: each is read, or refused with a message, in little memory and time.

A few inputs of each kind in `make test`, and 10,000 of all kinds together in `make test-slow`, always the same ones.
"""

import copy
import faulthandler
import hashlib
import io
import json
import logging
import math
import resource
import shutil
import signal
import sys
import wave
import zlib
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import PIL.Image
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import GRAY, TEXT, write_run
from vaekit.coding import archive
from vaekit.coding.originals import load_array
from vaekit.data.arrays import Arrays
from vaekit.data.audio import Audio
from vaekit.data.digits import Digits
from vaekit.data.image_folder import ImageFolder
from vaekit.data.levels import TILES, Levels
from vaekit.data.series import Series
from vaekit.data.table import Table
from vaekit.data.text import Text
from vaekit.media.medium import medium
from vaekit.refusal import Refusal
from vaekit.spaces import Text as TextSpace
from vaekit.tasks.compress import compress
from vaekit.tasks.decompress import decompress
from vaekit.tasks.sample import sample
from vaekit.tasks.shared.context import open_run

SECONDS, MEMORY = 30, 2**30  # for an input, and for all of a kind beyond what the process had
RNG = np.random.default_rng(0)
ROWS = RNG.integers(0, 256, (12, 5, 4), dtype=np.uint8)
VALUES = [None, True, -1, 0, 1, 7, 10**9, 10**30, 0.5, math.inf, math.nan, "", "x", "../x", "\0", "\ud800", "9" * 9]
VALUES += [[], {}, [[[]]], [1] * 99, {"_target_": "vaekit.spaces.Real"}, {"a": {"b": [1]}}]


# What is changed ------------------------------------------------------------------------------------------------------

EDIT = st.tuples(
    st.sampled_from(["set", "insert", "delete", "cut"]), st.floats(0, 1), st.booleans(), st.binary(max_size=5)
)


def edited(raw: bytes, edits: list[tuple[str, float, bool, bytes]]) -> bytes:
    """Some bytes of a file changed, half of them among the first hundred, where headers are."""
    for kind, place, early, new in edits:
        at = int(place * min(len(raw), 100 if early else len(raw)))
        match kind:
            case "set":
                raw = raw[:at] + new + raw[at + len(new) :]
            case "insert":
                raw = raw[:at] + new + raw[at:]
            case "delete":
                raw = raw[:at] + raw[at + 1 + len(new) :]
            case "cut":
                raw = raw[:at]
    return raw


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """Where something stands in a tree of dicts and lists."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in inside for place in ((*path, key), *places(value, (*path, key)))]


def grafted(tree: Any, changes: list[tuple[float, Any]]) -> Any:
    """The tree with other values at some places; one that is `KeyError` is taken out."""
    tree = copy.deepcopy(tree)
    for place, value in changes:
        if found := places(tree):
            *path, last = found[int(place * (len(found) - 1))]
            node = tree
            for key in path:
                node = node[key]
            if value is KeyError:
                del node[last]
            else:
                node[last] = copy.deepcopy(value)
    return tree


EDITS = st.lists(EDIT, min_size=1, max_size=4)
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.sampled_from([*VALUES, KeyError])), min_size=1, max_size=3)


@contextmanager
def limited(folder):
    """Within, nothing takes long or much memory, and no file appears but in `folder`.

    What hangs in C, where no signal is handled, ends the process with its traceback.
    """
    (folder / "outside").mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])

    def too_long(*_):
        pytest.fail(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 4 * MEMORY, hard))  # spares the machine
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def fuzz(examples: int, inputs: st.SearchStrategy, read: Callable[[Any, Any], None], folder) -> None:
    """Read so many inputs: each is fine, or a `Refusal`."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(inputs)
    def each(given):
        place = folder / "each"
        shutil.rmtree(place, ignore_errors=True)
        others = sorted(folder.rglob("*"))
        with limited(place), suppress(Refusal):
            read(given, place)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        assert grown * 1024 < MEMORY, f"{grown / 2**20:.1f} GiB"
        assert sorted(path for path in folder.rglob("*") if place not in (path, *path.parents)) == others

    each()


def many(few: int):
    """A few examples, and 10,000 of all kinds."""
    return pytest.mark.parametrize("examples", [few, pytest.param(1000, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def silent(monkeypatch, tmp_path):
    monkeypatch.setenv("VAEKIT_CACHE", str(tmp_path / "each" / "cache"))
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


# Arrays ---------------------------------------------------------------------------------------------------------------


def npy(x: np.ndarray, header: dict | None = None) -> bytes:
    file = io.BytesIO()
    plain = {"descr": np.lib.format.dtype_to_descr(x.dtype), "fortran_order": False, "shape": x.shape}
    np.lib.format.write_array_header_1_0(file, plain | (header or {}))
    return file.getvalue() + x.tobytes()


def npz(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as whole:
        for name, raw in members.items():
            whole.writestr(name, raw)
    return file.getvalue()


SIZES = st.sampled_from([0, 1, 3, 4, 5, 12, 100, 10**6, 10**12, 10**18])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "shape": st.lists(SIZES, max_size=5).map(tuple),
        "descr": st.sampled_from(
            ["|u1", "<f4", ">f8", "|b1", "<i8", "<c16", "|S9", "<U1000000", "|O", "<M8[s]", "<f2"]
        ),
        "fortran_order": st.booleans(),
    },
)
MEMBERS = st.dictionaries(st.sampled_from(["x.npy", "x_test.npy", "y.npy", "README"]), HEADERS, min_size=1)
ARRAYS = {
    "npy": st.one_of(HEADERS.map(lambda header: npy(ROWS, header)), EDITS.map(lambda each: edited(npy(ROWS), each))),
    "npz": st.one_of(
        MEMBERS.map(lambda all: npz({name: npy(ROWS, header) for name, header in all.items()})),
        st.tuples(EDITS, MEMBERS).map(lambda both: edited(npz(dict.fromkeys(both[1], npy(ROWS))), both[0])),
        EDITS.map(lambda each: npz({"x.npy": edited(npy(ROWS), each)})),
    ),
}


@many(40)
@pytest.mark.parametrize("suffix", ARRAYS)
def test_arrays(examples, suffix, tmp_path):
    def read(raw, folder):
        file = folder / f"x.{suffix}"
        file.write_bytes(raw)
        with np.errstate(all="ignore"):
            try:
                Arrays(file).load("train")
            except Refusal:
                load_array(file)

    fuzz(examples, ARRAYS[suffix], read, tmp_path)


# Tables and series ----------------------------------------------------------------------------------------------------

TABLE = "name,when,height,count\n" + "".join(
    f"{'ab'[i % 2]},2020-01-{i + 1:02},{i / 7:.3f},{i % 4}\n" for i in range(28)
)
CELLS = st.sampled_from(
    ["", "a,", '"', "\n", "\r\n", ";", "\t", "NaN", "inf", "1e999", "9" * 400, "-", "\0", "é", "\ufeff"]
)
WORDS = st.lists(st.tuples(st.floats(0, 1), CELLS), min_size=1, max_size=4)


def worded(text: str, words: list[tuple[float, str]]) -> str:
    for place, word in words:
        at = int(place * len(text))
        text = text[:at] + word + text[at:]
    return text


LINES = st.one_of(
    EDITS.map(lambda each: edited(TABLE.encode(), each)), WORDS.map(lambda each: worded(TABLE, each).encode())
)


@many(30)
@pytest.mark.parametrize("kind", [Table, Series])
def test_tables_and_series(examples, kind, tmp_path):
    def read(raw, folder):
        (folder / "x.csv").write_bytes(raw)
        source = kind(folder / "x.csv")
        source.load("train"), source.space

    fuzz(examples, LINES, read, tmp_path)


# Sounds, images, levels, text -----------------------------------------------------------------------------------------


def wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((1, 2, 8000, 0, "NONE", ""))
        opened.writeframes((8000 * np.sin(np.arange(2000))).astype("<i2").tobytes())
    return file.getvalue()


def flac() -> bytes:
    file = io.BytesIO()
    pytest.importorskip("soundfile").write(file, np.sin(np.arange(2000)), 8000, format="FLAC")
    return file.getvalue()


@many(40)
@pytest.mark.parametrize("make", [wav, flac])
def test_sounds(examples, make, tmp_path):
    whole = make()

    def read(edits, folder):
        for name, raw in (("a", whole), ("b", edited(whole, edits))):
            (folder / f"{name}.{make.__name__}").write_bytes(raw)
        Audio(folder, seconds=0.1, mels=8).load("train")

    fuzz(examples, EDITS, read, tmp_path)


@many(25)
@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "JPEG", "BMP"])
def test_images(examples, kind, tmp_path):
    file = io.BytesIO()
    PIL.Image.fromarray(ROWS[0]).save(file, kind)

    def read(edits, folder):
        (folder / f"a.{kind.lower()}").write_bytes(edited(file.getvalue(), edits))
        try:
            ImageFolder(folder, image_size=8).load("train")
        except Refusal:
            names, rows = medium(GRAY).find(folder)
            rows(slice(len(names)))

    fuzz(examples, EDITS, read, tmp_path)


@many(40)
def test_levels(examples, tmp_path):
    tiles = {"tiles": {"X": ["solid"], "-": ["passable"]}}
    trees = st.tuples(CHANGES.map(lambda each: json.dumps(grafted(tiles, each)).encode()), st.just(b"--X\nXXX\n"))
    raws = st.tuples(EDITS.map(lambda each: edited(json.dumps(tiles).encode(), each)), st.just(b"--X\nXXX\n"))
    lines = st.tuples(st.just(json.dumps(tiles).encode()), EDITS.map(lambda each: edited(b"--X\nXXX\n" * 3, each)))
    deep = st.tuples(st.sampled_from([b"[" * 10**5, b'{"tiles":' * 10**5]), st.just(b"X"))

    def read(files, folder):
        for name, raw in zip((TILES, "1.txt"), files, strict=True):
            (folder / name).write_bytes(raw)
        Levels(folder).load("train")

    fuzz(examples, st.one_of(trees, raws, lines, deep), read, tmp_path)


@many(30)
def test_text(examples, tmp_path):
    def read(raw, folder):
        (folder / "x.txt").write_bytes(raw)
        for unit in ("word", "char"):
            Text(folder / "x.txt", unit=unit, min_count=1).load("train")

    whole = "A man, a hat.\nTwo men in hats?\n" * 4
    texts = st.one_of(EDITS.map(lambda e: edited(whole.encode(), e)), WORDS.map(lambda e: worded(whole, e).encode()))
    fuzz(examples, texts, read, tmp_path)


@many(60)
def test_tokenizers(examples, tmp_path):
    tokenizer = json.loads(TEXT.tokenizer)

    def read(text, folder):
        space = TextSpace((6,), text)
        assert space.vocabulary
        space.decode(torch.tensor([[3, 4, 5, 6, 1, 0]]))
        space.encode(["A man runs in hats.", "?"])

    texts = st.one_of(
        CHANGES.map(lambda each: json.dumps(grafted(tokenizer, each))),
        EDITS.map(lambda each: edited(TEXT.tokenizer.encode(), each).decode(errors="replace")),
    )
    fuzz(examples, texts, read, tmp_path)


# Archives and runs ----------------------------------------------------------------------------------------------------


def sealed(raw: bytes) -> bytes:
    return raw + hashlib.sha256(raw).digest()


@many(40)
def test_archives(examples, tmp_path):
    run = write_run(
        tmp_path, GRAY, "model=mlp_vae", "network.hidden=[16]", "latents.dim=3", "likelihood=discretized_logistic"
    )
    np.save(tmp_path / "x.npy", RNG.integers(0, 17, (20, 1, 8, 8), dtype=np.uint8))
    context = open_run(run, tmp_path, device="cpu")
    compress(context, input=tmp_path / "x.npy", output=tmp_path / "small")
    whole = (tmp_path / "small").read_bytes()[:-32]
    start = len(archive.MAGIC) + 5
    size = int.from_bytes(whole[start - 4 : start], "little")
    header = json.loads(zlib.decompress(whole[start : start + size]))

    def packed(changed: bytes) -> bytes:
        deflated = zlib.compress(changed)
        return sealed(whole[: start - 4] + len(deflated).to_bytes(4, "little") + deflated + whole[start + size :])

    def read(raw, folder):
        (folder / "small").write_bytes(raw)
        decompress(context, input=folder / "small", output=folder / "back.npy")

    raws = st.one_of(
        CHANGES.map(lambda each: packed(json.dumps(grafted(header, each)).encode())),
        EDITS.map(lambda each: packed(edited(json.dumps(header).encode(), each))),
        EDITS.map(lambda each: sealed(edited(whole, each))),
    )
    fuzz(examples, raws, read, tmp_path)


@pytest.mark.long
@many(60)
def test_configurations(examples, tmp_path):
    run = write_run(
        tmp_path / "run", Digits.space, "model=mlp_vae", "network.hidden=[16]", "latents.dim=3", "data=digits"
    )
    whole = (run / "config.yaml").read_text()
    tree = yaml.safe_load(whole)

    def read(raw, folder):
        shutil.copytree(run, folder / "run")
        (folder / "run" / "config.yaml").write_bytes(raw)
        (folder / "out").mkdir()
        context = open_run(folder / "run", folder / "out", device="cpu", batch_size=8)
        sample(context, n=4)
        assert len(context.test.indices) > 0

    raws = st.one_of(
        CHANGES.map(lambda each: yaml.safe_dump(grafted(tree, each), sort_keys=False).encode(errors="replace")),
        EDITS.map(lambda each: edited(whole.encode(), each)),
    )
    fuzz(examples, raws, read, tmp_path)
