import io
import re
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch

from vaekit.coding.originals import load_array
from vaekit.data.arrays import Arrays
from vaekit.media.medium import medium
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (12, 5, 4), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (12, 5, 4, 3), dtype=np.uint8)
VECTORS = RNG.normal(size=(12, 7))


def npy(path, x):
    np.save(path.with_suffix(".npy"), x)
    return path.with_suffix(".npy")


def npz(path, x):
    np.savez_compressed(path.with_suffix(".npz"), x=x)
    return path.with_suffix(".npz")


def pt(path, x):
    torch.save(torch.from_numpy(np.ascontiguousarray(x)), path.with_suffix(".pt"))
    return path.with_suffix(".pt")


@pytest.mark.parametrize("save", [npy, npz, pt])
@pytest.mark.parametrize(
    ("x", "space", "expected"),
    [
        (VECTORS, Real((7,)), VECTORS.astype(np.float32)),
        (VECTORS.astype(np.float16), Real((7,)), VECTORS.astype(np.float16).astype(np.float32)),
        (np.arange(24).reshape(12, 2), Real((2,)), np.arange(24.0).reshape(12, 2)),
        (GRAY, Image((1, 5, 4), bins=256), GRAY[:, None]),
        (GRAY > 99, Image((1, 5, 4), bins=2), (GRAY > 99)[:, None]),
        (GRAY / 255, Image((1, 5, 4), bins=None), (GRAY / 255).astype(np.float32)[:, None]),
        (COLOR, Image((3, 5, 4), bins=256), np.moveaxis(COLOR, 3, 1)),
        (np.moveaxis(COLOR, 3, 1), Image((3, 5, 4), bins=256), np.moveaxis(COLOR, 3, 1)),
        (COLOR[..., :1], Image((1, 5, 4), bins=256), COLOR[..., 0][:, None]),
        (
            COLOR[:, None, ..., 0] / 255,
            Image((1, 5, 4), bins=None),
            (COLOR[:, None, ..., 0] / 255).astype(np.float32),
        ),
    ],
)
def test_every_format_holds_vectors_and_images(tmp_path, save, x, space, expected):
    source = Arrays(save(tmp_path / "rows", x))
    rows = source.load("train")
    assert source.space == space and rows.x.shape == (12, *space.shape)
    assert rows.x.dtype == (np.float32 if space.values in ("unit", "continuous") else np.uint8)
    assert np.array_equal(rows.x, expected) and rows.mask is None and rows.label is None
    assert source.load("test") is None


def test_names_give_splits_and_labels(tmp_path):
    label = np.arange(12)
    medmnist = dict(
        train_images=GRAY[:6], train_labels=label[:6, None], val_images=GRAY[6:8], val_labels=label[6:8, None],
        test_images=GRAY[8:], test_labels=label[8:, None],
    )  # fmt: skip
    keras = dict(x_train=GRAY[:8], y_train=label[:8], x_test=GRAY[8:], y_test=label[8:].astype(float))
    for i, arrays in enumerate((medmnist, keras)):
        np.savez(tmp_path / f"{i}.npz", **arrays)
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / f"{i}.pt")
    for i in (0, 1):
        for suffix in ("npz", "pt"):
            source = Arrays(tmp_path / f"{i}.{suffix}")
            train, test = source.load("train"), source.load("test")
            assert np.array_equal(train.x[:, 0], GRAY[:8]) and train.label.tolist() == list(range(8))
            assert np.array_equal(test.x[:, 0], GRAY[8:]) and test.label.tolist() == list(range(8, 12))


def test_the_key_names_the_rows(tmp_path):
    np.savez(tmp_path / "rows.npz", pictures=GRAY, others=GRAY[:3], x_test=GRAY[:2], labels=np.arange(12))
    source = Arrays(tmp_path / "rows.npz", key="pictures")
    rows = source.load("train")
    assert np.array_equal(rows.x[:, 0], GRAY) and rows.label.tolist() == list(range(12))
    assert source.load("test") is None
    with pytest.raises(Refusal, match=r"holds pictures, others, x_test, labels.*data\.key=NAME"):
        _ = Arrays(tmp_path / "rows.npz").space
    with pytest.raises(Refusal, match=r"expected picture;.*data\.key=NAME"):
        _ = Arrays(tmp_path / "rows.npz", key="picture").space


def test_labels_that_are_not_classes_are_ignored(tmp_path, caplog):
    labels = {
        "many": np.zeros((12, 3), int),
        "real": np.linspace(0, 1, 12),
        "missing": np.full(12, np.nan),
        "words": np.full(12, "cat"),
        "objects": np.full(12, None),
    }
    for name, y in labels.items():
        np.savez(tmp_path / f"{name}.npz", x=GRAY, y=y)
        caplog.clear()
        with caplog.at_level("INFO"):
            assert Arrays(tmp_path / f"{name}.npz").load("train").label is None, name
        assert "'y' is ignored" in caplog.text, name


@pytest.mark.parametrize(
    "y", [np.eye(3)[np.arange(12) % 3], np.array(["cat", "dog", "eel"] * 4)], ids=["one-hot", "words"]
)
def test_the_conversion_suggested_for_labels_gives_classes(tmp_path, caplog, y):
    np.savez(tmp_path / "rows.npz", x=GRAY, y=y)
    with caplog.at_level("INFO"):
        assert Arrays(tmp_path / "rows.npz").load("train").label is None
    advice = re.search(r"in another form, save (.*)\.$", caplog.text.strip())[1]
    np.savez(tmp_path / "rows.npz", x=GRAY, y=eval(advice, {"y": y, "numpy": np}))
    assert Arrays(tmp_path / "rows.npz").load("train").label.tolist() == [0, 1, 2] * 4


def test_negative_labels_are_missing_or_ignored(tmp_path, caplog):
    np.savez(tmp_path / "rows.npz", x=GRAY, y=np.arange(12) % 2 * 2 - 1)
    with caplog.at_level("INFO"):
        assert Arrays(tmp_path / "rows.npz").load("train").label.tolist() == [-1, 1] * 6
    assert "6 of 12 labels in 'y' are missing (-1)" in caplog.text
    np.savez(tmp_path / "rows.npz", x=GRAY, y=np.arange(12) - 2)
    assert Arrays(tmp_path / "rows.npz").load("train").label is None


def test_labels_of_other_rows_are_refused(tmp_path):
    np.savez(tmp_path / "few.npz", x=GRAY, y=np.arange(5))
    with pytest.raises(Refusal, match=r"'y' in .*few\.npz has shape \[5\].* of the 12 rows of 'x'.*without 'y'"):
        Arrays(tmp_path / "few.npz").load("train")


def test_conditions_are_numbers_for_each_row(tmp_path):
    np.savez(tmp_path / "rows.npz", x=GRAY, condition=np.arange(12))
    assert Arrays(tmp_path / "rows.npz").load("train").condition.shape == (12, 1)
    for wrong in (np.zeros((11, 2)), np.full(12, "cat"), np.zeros(())):
        np.savez(tmp_path / "rows.npz", x=GRAY, condition=wrong)
        with pytest.raises(Refusal, match=r"expected numbers for each of the 12 rows of 'x'.*without 'condition'"):
            Arrays(tmp_path / "rows.npz").load("train")
    np.savez(tmp_path / "rows.npz", x=GRAY, condition=np.where(np.arange(12), 1, np.nan))
    with pytest.raises(Refusal, match=r"'condition' in .* holds NaN or infinite values, expected finite ones"):
        Arrays(tmp_path / "rows.npz").load("train")


@pytest.mark.parametrize("save", [npy, npz, pt])
def test_nan_is_missing(tmp_path, save):
    x = VECTORS.copy()
    x[2, 3] = x[11, 0] = np.nan
    rows = Arrays(save(tmp_path / "rows", x)).load("train")
    assert np.array_equal(rows.mask, ~np.isnan(x)) and rows.x[2, 3] == rows.x[11, 0] == 0
    assert np.array_equal(rows.x[rows.mask], x.astype(np.float32)[rows.mask])


def test_other_spellings_of_a_suffix_and_other_numbers_are_read(tmp_path):
    for save in (npy, npz, pt):
        path = save(tmp_path / "rows", GRAY)
        path = path.rename(path.with_suffix(path.suffix.upper()))
        assert np.array_equal(Arrays(path).load("train").x[:, 0], GRAY)
        if save is not pt:
            assert np.array_equal(load_array(path), GRAY)
    path = npy(tmp_path / "rows", GRAY[:, None]).rename(tmp_path / "rows.Npy")
    assert len(medium(Image((1, 5, 4), 256)).find(path)[0]) == 12
    halves = torch.from_numpy(VECTORS).bfloat16()
    torch.save({"x": halves}, tmp_path / "rows.pt")
    assert np.array_equal(Arrays(tmp_path / "rows.pt").load("train").x, halves.float())
    large = torch.linspace(0, 1, 4000).reshape(20, 20, 10)  # as float32 larger than the file
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        torch.save({"x": large.to(dtype)}, tmp_path / "rows.pt")
        assert np.array_equal(Arrays(tmp_path / "rows.pt").load("train").x[:, 0], large.to(dtype).float())


def test_small_differences_of_large_values_are_not_lost(tmp_path):
    x = np.column_stack([VECTORS, np.full(12, 0.1), VECTORS[:, 0] + 1e8, np.arange(12) * 1e8])
    with pytest.raises(Refusal, match=r"column 8 \(from 0\) of float32 would lose .* save x - x\.mean\(0\)\."):
        Arrays(npy(tmp_path / "rows", x)).load("train")
    x[3, 8] = np.nan
    with pytest.raises(Refusal, match=r"column 8 \(from 0\) of float32"):
        Arrays(npy(tmp_path / "rows", x)).load("train")
    centered = Arrays(npy(tmp_path / "rows", np.nan_to_num(x) - np.nanmean(x, 0))).load("train").x
    np.testing.assert_allclose(centered[[0, 1, 2], 8] - centered[0, 8], VECTORS[:3, 0] - VECTORS[0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("x", "held"), [(VECTORS * 1j, "'x' of complex128"), (np.array([["a"]]), "'x' of <U1")], ids=["complex", "words"]
)
def test_values_that_are_not_numbers_are_named_with_their_type(tmp_path, x, held):
    with pytest.raises(Refusal, match=rf"rows.npy holds {held}, expected numbers called x"):
        Arrays(npy(tmp_path / "rows", x)).load("train")
    torch.save((torch.zeros(3, 2), torch.zeros(3)), tmp_path / "pair.pt")
    with pytest.raises(Refusal, match="expected a numeric array, or several by name; save it again, by"):
        Arrays(tmp_path / "pair.pt").load("train")


def test_large_files_are_read_in_parts(tmp_path):
    x = np.arange(10_000.0)[:, None] * [1, 2]
    x[9_000, 1] = np.nan
    rows = Arrays(npy(tmp_path / "rows", x)).load("train")
    assert np.array_equal(rows.x, np.nan_to_num(x)) and np.flatnonzero(~rows.mask.all(1)).tolist() == [9_000]


@pytest.mark.parametrize("save", [npy, npz, pt])
def test_space_reads_the_header_only(tmp_path, save, monkeypatch):
    x = np.zeros((2000, 64, 64), np.uint8)
    path = save(tmp_path / "rows", x)
    if save is npy:  # the pixels are gone, and nobody notices
        with open(path, "r+b") as file:
            file.truncate(len(x.tobytes()) + 128)
    if save is npz:
        monkeypatch.setattr(np.lib.format, "read_array", None)
    assert Arrays(path).space == Image((1, 64, 64), bins=256)


def test_rows_are_cached_until_the_file_changes(tmp_path, monkeypatch):
    path = npy(tmp_path / "rows", VECTORS)
    Arrays(path).load("train")
    with monkeypatch.context() as patch:
        patch.setattr(Arrays, "_build", None)
        assert np.array_equal(Arrays(path).load("train").x, VECTORS.astype(np.float32))
    npy(tmp_path / "rows", VECTORS[:5])
    assert len(Arrays(path).load("train")) == 5


@pytest.mark.parametrize("x", [GRAY, GRAY > 99, np.moveaxis(COLOR, 3, 1).copy()], ids=["gray", "bits", "color"])
def test_arrays_in_the_layout_of_a_cache_are_not_copied(tmp_path, cache_folder, x):
    path = npy(tmp_path / "rows", x)
    rows = Arrays(path).load("train").x
    assert isinstance(rows, np.memmap) and rows.filename == path and list(cache_folder.iterdir()) == []
    assert np.array_equal(rows, x.reshape(rows.shape))
    rows[:] = 0
    assert np.array_equal(np.load(path), x), "the file stays as it is"


@pytest.mark.parametrize("x", [COLOR, np.asfortranarray(GRAY), GRAY / 255], ids=["channels last", "columns", "floats"])
def test_other_arrays_are_cached(tmp_path, cache_folder, x):
    Arrays(npy(tmp_path / "rows", x)).load("train")
    assert len(list(cache_folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("x", "fix"),
    [
        (np.zeros(5), r"shape \[5\].*data\.key=NAME"),
        (np.zeros((2, 3, 4, 5, 6)), r"expected vectors \[N, D\]"),
        (np.zeros((0, 3)), r"shape \[0, 3\]"),
        (np.full((4, 5, 6), 200), r"astype\('uint8'\)"),
        (np.zeros((4, 5, 6, 7), np.uint8), r"\[N, C, H, W\]"),
        (np.zeros((4, 3, 6, 3), np.uint8), r"\[N, C, H, W\]"),
    ],
)
def test_refused_by_the_header(tmp_path, x, fix):
    with pytest.raises(Refusal, match=fix):
        _ = Arrays(npy(tmp_path / "rows", x)).space


@pytest.mark.parametrize(
    ("x", "fix"),
    [
        (np.array([[1.0, np.inf]]), "infinite.*drop those rows"),
        (np.array([[1.0, 1e300]]), "infinite.*drop those rows"),
        (GRAY.astype(np.float32), r"expected 0 to 1; save x\.astype\('uint8'\)"),
        (np.full((3, 2), np.nan), "'x' in .*rows.npy holds only missing values"),
        (GRAY * np.nan, "'x' in .*rows.npy holds only missing values"),
        (-(GRAY / 255), r"expected 0 to 1; save \(x \+ 1\) / 2"),
        ((GRAY > 99).astype(np.uint8), r"astype\(bool\)"),
    ],
)
def test_refused_by_the_values(tmp_path, x, fix, cache_folder):
    with pytest.raises(Refusal, match=fix):
        Arrays(npy(tmp_path / "rows", x)).load("train")
    assert list(cache_folder.iterdir()) == []


def test_refused_files(tmp_path):
    with pytest.raises(Refusal, match=r"data\.path=rows\.npz"):
        Arrays(None)
    with pytest.raises(Refusal, match=r"no file .*data\.path=FILE"):
        _ = Arrays(tmp_path / "nowhere.npy").space
    (tmp_path / "rows.csv").write_text("1,2")
    with pytest.raises(Refusal, match=r"expected a \.npy, \.npz or \.pt file"):
        _ = Arrays(tmp_path / "rows.csv").space
    for name in ("broken.npy", "broken.npz", "broken.pt"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(Refusal, match=r"Cannot read .*save it again"):
            _ = Arrays(tmp_path / name).space
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    torch.save({"x": Arrays}, tmp_path / "code.pt")
    for name in ("objects.npy", "code.pt"):
        with pytest.raises(Refusal, match=r"Cannot read .*save it again"):
            _ = Arrays(tmp_path / name).space
    torch.save(torch.zeros(1).expand(10**12, 3), tmp_path / "expanded.pt")
    (tmp_path / "zip.npy").write_bytes(zipped("x.npy", GRAY))
    for name in ("expanded.pt", "zip.npy"):
        with pytest.raises(Refusal, match=r"Cannot read .*save it again"):
            _ = Arrays(tmp_path / name).space
    np.savez(tmp_path / "differ.npz", x_train=GRAY, x_test=GRAY[:, 1:])
    with pytest.raises(Refusal, match=r"'x_test' .* differ"):
        Arrays(tmp_path / "differ.npz").load("test")


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (GRAY.astype(np.uint16), GRAY),
        (GRAY.astype(np.int64), GRAY),
        (GRAY.astype(np.float16), GRAY),
        ((GRAY > 99).astype(np.int32), GRAY > 99),
        ((GRAY // 16).astype(np.float32), GRAY // 16 / 15),
        (GRAY.astype(np.uint16) * 257, GRAY / 255),
        (GRAY.astype(np.uint16) * 16, GRAY * (16 / 4095)),
        (GRAY.astype(np.int16) * 16, GRAY * (16 / 4095)),
        (GRAY / 127.5 - 1, GRAY / 255),
        ((GRAY / 255).astype(np.float32) * np.float32(1.0001), GRAY / 255),
        (GRAY / 200, GRAY / 255),
        (GRAY * 0.9 + 0.25, (GRAY * 0.9 + 0.25) / 255),
        (GRAY * 10.0 - 1024, GRAY / 255),
        (np.where(GRAY > 250, np.nan, GRAY), np.where(GRAY > 250, 0, GRAY) / 255),
    ],
)
def test_the_conversion_suggested_for_arrays_gives_the_same_images(tmp_path, x, expected):
    with pytest.raises(Refusal, match="; save ") as refusal:
        Arrays(npy(tmp_path / "rows", x)).load("train")
    advice = re.search(r"; save (.*)\.$", str(refusal.value))[1]
    rows = Arrays(npy(tmp_path / "scaled", eval(advice, {"x": x})))
    assert np.abs(rows.load("train").x[:, 0].astype(float) - expected).max() < 4e-3
    assert len(np.unique(rows.load("train").x)) >= len(np.unique(expected))


@pytest.mark.parametrize("style", ["X_{}/Y_{}", "{}X/{}Y", "{}-images/{}-labels", "{}_data/{}_targets", "x_{}/y_{}"])
def test_names_in_other_styles_give_splits_and_labels(tmp_path, style):
    rows, labels = style.split("/")
    arrays = {rows.format("train"): GRAY[:8], labels.format("train").lower(): np.arange(8)}
    arrays |= {rows.format("test"): GRAY[8:], labels.format("test"): np.arange(4)}
    np.savez(tmp_path / "rows.npz", **arrays)
    source = Arrays(tmp_path / "rows.npz")
    train, test = source.load("train"), source.load("test")
    assert np.array_equal(train.x[:, 0], GRAY[:8]) and train.label.tolist() == list(range(8))
    assert np.array_equal(test.x[:, 0], GRAY[8:]) and test.label.tolist() == list(range(4))


def zipped(name, x, shape=None):
    """The bytes of an .npz file with one array, whose header may say another shape."""
    file, member = io.BytesIO(), io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(x.dtype), "fortran_order": False, "shape": shape or x.shape}
    np.lib.format.write_array_header_1_0(member, header)
    with ZipFile(file, "w", ZIP_DEFLATED) as whole:
        whole.writestr(name, member.getvalue() + x.tobytes())
    return file.getvalue()


def broken_inside(raw):
    middle = len(raw) // 2
    return raw[:middle] + bytes(each ^ 0xFF for each in raw[middle : middle + 8]) + raw[middle + 8 :]


@pytest.mark.parametrize(
    "raw",
    [zipped("x.npy", VECTORS, shape=(10**12, 4)), broken_inside(zipped("x.npy", VECTORS))],
    ids=["endless", "bits"],
)
def test_files_with_false_headers_are_refused_before_allocation(tmp_path, raw):
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(Refusal, match=r"Cannot read .*x\.npz.*save it again"):
        Arrays(tmp_path / "x.npz").load("train")
    with pytest.raises(Refusal, match=r"Cannot read .*x\.npz.*save it again"):
        load_array(tmp_path / "x.npz")


@pytest.mark.parametrize("read", [lambda path: Arrays(path).load("train"), load_array])
def test_the_reason_is_said_why_a_file_cannot_be_read(tmp_path, read):
    np.save(tmp_path / "x.npy", np.zeros((50, 4)))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-100])
    with pytest.raises(Refusal, match=r"header of x.npy states an array of 1,600 bytes, the file holds at most 1,500"):
        read(tmp_path / "x.npy")
    np.savez_compressed(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(50, 4)))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[400] ^= 1
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(Refusal, match=r"the checksum of x.npy is wrong: the file is damaged"):
        read(tmp_path / "x.npz")


def test_code_in_a_file_of_torch_is_neither_run_nor_recommended(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(Refusal, match=r"\(it holds Python objects other than tensors\)") as refused:
        Arrays(tmp_path / "x.pt").load("train")
    assert "weights_only" not in str(refused.value)


def test_other_members_of_an_npz_file_are_ignored(tmp_path):
    (tmp_path / "x.npz").write_bytes(zipped("x.npy", VECTORS))
    with ZipFile(tmp_path / "x.npz", "a") as whole:
        whole.writestr("README", "words")
    np.testing.assert_array_equal(Arrays(tmp_path / "x.npz").load("train").x, VECTORS.astype("float32"))
