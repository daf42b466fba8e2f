"""Files as people have them, each once handled wrongly: what training and tasks make of it now, from end to end.

Held where the parts of it are: a stranger's checkpoint, tests/lifecycle/test_resume.py; processes that build one cache
at once, tests/data/test_cache.py; p-values of unseen categories, tests/tasks/test_table.py; archives of arrays and
sounds whose headers lie, tests/data/test_arrays.py and test_audio.py.
"""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import zlib
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image as Picture

from helpers import write_run
from vaekit.coding import archive
from vaekit.data.arrays import Arrays
from vaekit.data.cells import read
from vaekit.data.image_folder import ImageFolder
from vaekit.data.module import DataModule
from vaekit.data.series import Series
from vaekit.data.table import Table
from vaekit.refusal import Refusal
from vaekit.spaces import Image
from vaekit.tasks.compress import compress
from vaekit.tasks.decompress import decompress
from vaekit.tasks.sample import sample
from vaekit.tasks.score import score
from vaekit.tasks.shared import classifier
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.synthesize import synthesize

RNG = np.random.default_rng(0)
SMALL = ["data.batch_size=64", "latents.dim=2", "trainer=cpu", "evaluation.num_samples=5"]


@pytest.fixture(autouse=True)
def quick(tmp_path_factory, monkeypatch):
    """Every test builds its own cache, and nothing is drawn, which takes longer than these trainings."""
    monkeypatch.setenv("VAEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr("vaekit.training.run.draw_run", lambda *_: None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def trained(train, kept):
    """The folder of a run of these words, trained once for all tests."""

    def call(*words, name):
        if not (kept / name).exists():
            done = train(*words, folder=kept / name, tiny=SMALL)
            assert done.code == 0, done.err
        return kept / name

    return call


def opened(run, out, **options):
    (out / "out").mkdir(exist_ok=True)
    return open_run(run, out / "out", device="cpu", **options)


def write(path, header, *columns, end="\n", separator=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator=end)
        writer.writerows([*([header] if header else []), *zip(*columns, strict=True)])
    return path


def typed_by_a_shell(hints):
    """What Hydra reads of words that are pasted into bash, as keys and values."""
    command = ["bash", "-c", f"printf '%s\\0' {' '.join(hints)}"]
    words = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    overrides = OverridesParser.create().parse_overrides(words)
    composed = [OmegaConf.create({each.key_or_group: each.value()}) for each in overrides]
    return [item for each in composed for item in OmegaConf.to_container(each, resolve=True).items()]


# Tables ---------------------------------------------------------------------------------------------------------------

N = 240
ZIPS = [f"{zip_code:05}" for zip_code in RNG.integers(600, 99_999, 30)]
FORMULAS = ["=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-2+3"]
DAYS = [date(2019, 1, 1) + timedelta(int(day)) for day in RNG.integers(0, 1000, N)]
COLUMNS = {
    "when": [f"{day:%Y%m%d}" for day in DAYS],
    "zip": [ZIPS[i] for i in RNG.integers(0, 30, N)],
    "n": ["" if i % 9 == 0 else f"{each}.0" for i, each in enumerate(3 * RNG.integers(0, 40, N))],
    "code": [f"{each}_000" for each in RNG.integers(1, 25, N)],
    "formula": [FORMULAS[i] for i in RNG.integers(0, 4, N)],
    "old": [f"{900 + day.year % 100:04}-{day:%m-%d}" for day in DAYS],
    "kind": [*"abc" * (N // 3)],
}


@pytest.fixture
def table(trained, kept):
    """A run of the table above."""
    path = write(kept / "rows.csv", [*COLUMNS], *COLUMNS.values())
    words = ("model=table_vae", "data=table", f"data.path={path}", "likelihood=table")
    return trained(*words, name="table")


@pytest.mark.long
def test_dates_codes_whole_numbers_and_formulas_are_written_as_in_the_file(table, tmp_path):
    synthesize(opened(table, tmp_path), n=200)
    path = tmp_path / "out" / "synthetic.csv"
    with path.open(newline="") as file:
        made = list(csv.DictReader(file))
    assert len(made) == 200 and list(made[0]) == [*COLUMNS]
    for row in made:
        assert re.fullmatch(r"\d{8}", row["when"]) and datetime.strptime(row["when"], "%Y%m%d")
        assert row["zip"] in ZIPS and row["code"] in COLUMNS["code"]
        assert row["n"] == "" or (re.fullmatch(r"\d+\.0", row["n"]) and float(row["n"]) <= 117)
        assert re.fullmatch(r"09\d\d-\d\d-\d\d", row["old"])
        assert row["formula"] in FORMULAS
    again = Table(path).space
    assert [column.form for column in again.columns] == [
        column.form for column in Table(table.parent / "rows.csv").space.columns
    ]


def test_cells_that_a_spreadsheet_would_run_are_escaped_where_asked(table, tmp_path):
    synthesize(opened(table, tmp_path, spreadsheet=True), n=50)
    assert set(read(tmp_path / "out" / "synthetic.csv")["formula"]) == {f"'{each}" for each in FORMULAS}


def test_an_unseen_category_is_scored_as_unusual_with_one_warning(table, tmp_path, caplog):
    rows = {name: [column[1]] * 3 for name, column in COLUMNS.items()} | {"kind": ["a", "d", "b"]}
    log_px = score(opened(table, tmp_path), input=write(tmp_path / "new.csv", [*rows], *rows.values()), num_samples=50)
    assert log_px[1] < min(log_px[0], log_px[2]) - 1
    (warning,) = [each.getMessage() for each in caplog.records if "did not see" in each.getMessage()]
    assert "1 rows hold cells that training did not see" in warning and "kind: 1" in warning


NAMES = ["Loan Amount (USD)", "id, internal", "Größe", "it's", "a:b", "null", "12", "true", "1e5", 'say "so"', "$HOME"]
NAMES += [
    "`ls`",
    "a=b",
    "[x]",
    "{a}",
    "~",
    "!x",
    "*",
    "日本",
    "a;b",
    "${x}",
    "%",
    "a\\'b",
    "a b",
    "-",
    "nan",
    "empty (all)",
]


def test_hints_for_any_column_can_be_pasted(tmp_path):
    """Each of these columns is empty, which its refusal says with what to type."""
    paths, hints = [], []
    for number, name in enumerate(NAMES):
        paths.append(write(tmp_path / f"{number}.csv", [name, "other"], [""] * 50, [f"{i / 7:.2f}" for i in range(50)]))
        with pytest.raises(Refusal) as refused:
            Table(paths[-1]).space  # noqa: B018
        hints.append(re.search(r"use (.*)\.$", str(refused.value), re.DOTALL)[1])
    for name, path, (key, types) in zip(NAMES, paths, typed_by_a_shell(hints), strict=True):
        assert key == "data.types"
        assert [column.name for column in Table(path, types=types).space.columns] == ["other"], name


def test_all_empty_columns_are_named_at_once(tmp_path):
    for names in (["a", "b"], ["it's", "a:b", "c"]):
        cells = [*([""] * 50 for _ in names), [f"{i / 7:.2f}" for i in range(50)]]
        path = write(tmp_path / "x.csv", [*names, "other"], *cells)
        with pytest.raises(Refusal, match=f"Columns .*{names[0]}.*, '{names[-1]}' have only missing cells") as refused:
            Table(path).space  # noqa: B018
        ((_, types),) = typed_by_a_shell([re.search(r"use (.*)\.$", str(refused.value), re.DOTALL)[1]])
        assert [column.name for column in Table(path, types=types).space.columns] == ["other"]


def test_training_says_what_to_type_and_does_it(train, tmp_path):
    path = write(tmp_path / "x.csv", NAMES[:3], *([f"{i % 9}.5" for i in range(90)] for _ in "ab"), [""] * 90)
    words = ["model=table_vae", "data=table", "likelihood=table", f"data.path={path}"]
    done = train(*words, tiny=SMALL)
    assert done.code == 1 and "Traceback" not in done.err
    hint = re.search(r"use (.*)\.\n?$", done.err)[1]
    assert typed_by_a_shell([hint]) == [("data.types", [["Größe", "ignore"]])]
    word = subprocess.run(["bash", "-c", f"printf %s {hint}"], capture_output=True, check=True).stdout.decode()
    done = train(*words, word, folder="run", tiny=SMALL)
    assert done.code == 0, done.err
    saved = yaml.safe_load(Path("run/config.yaml").read_text())
    assert [each["name"] for each in saved["space"]["columns"]] == NAMES[:2]


def test_a_header_of_numbers_that_pandas_wrote_and_semicolons(tmp_path):
    values = [f"{each:.3f}" for each in RNG.normal(size=60)]
    space = Table(
        write(tmp_path / "pandas.csv", ["0", "1", "label"], values, values[::-1], [*"xy" * 30]), label="label"
    ).space
    assert [column.name for column in space.columns] == ["0", "1"] and space.classes == {"x": 0, "y": 1}
    amounts = [each.replace(".", ",") for each in values]
    path = write(tmp_path / "euro.csv", ["Betrag, EUR", "Stück"], amounts, [*map(str, range(60))], separator=";")
    amount = Table(path, types={"Stück": "real"}).space.columns[0]
    assert amount.name == "Betrag, EUR" and amount.form.parse([amounts[0]]) == [float(values[0])]


def test_a_file_without_names_is_read_by_those_of_the_run(tmp_path):
    columns = [f"{each:.2f}" for each in RNG.normal(size=90)], [*"abc" * 30], [*map(str, RNG.integers(0, 50, 90))]
    path = write(tmp_path / "rows.csv", None, *columns)
    words = ("data=table", f"data.path={path}", "data.columns=[x,kind,n]", "model=table_vae", "network.hidden=[8]")
    run = write_run(tmp_path / "run", Table(path, columns=["x", "kind", "n"]).space, *words)
    new = write(tmp_path / "new.csv", None, *(column[:7] for column in columns))
    assert len(score(opened(run, tmp_path), input=new, num_samples=2)) == 7


# Series ---------------------------------------------------------------------------------------------------------------

STEPS = RNG.normal(0.0026, 0.001, 300)
PRICES = 100 * np.exp(np.cumsum(STEPS))
TIMES = [date(2018, 1, 1) + timedelta(i) for i in range(300)]


def test_prices_newest_first_are_taken_in_the_order_of_time(train, tmp_path):
    path = write(
        tmp_path / "x.csv",
        ["Date", "Close", "Volume"],
        [f"{day:%b %d, %Y}" for day in TIMES[::-1]],
        [f"{price:.2f}" for price in PRICES[::-1]],
        [str(1000 + i % 7) for i in range(300)],
    )
    words = ["model=series_vae", "data=series", f"data.path={path}", "data.columns=[Close]", "data.window=10"]
    done = train(*words, folder="run", tiny=SMALL)
    assert done.code == 0, done.err
    assert yaml.safe_load(Path("run/config.yaml").read_text())["space"]["mean"][0] == pytest.approx(0.0026, abs=2e-4)


def test_prices_in_dollars_are_prices(tmp_path):
    times, dollars = [f"{day:%m/%d/%Y}" for day in TIMES], [f"${price:,.2f}" for price in PRICES]
    volumes = [str(1000 + i % 7) for i in range(300)]
    space = Series(write(tmp_path / "x.csv", ["Date", "Close/Last", "Volume"], times, dollars, volumes)).space
    assert "Close/Last" in space.names
    assert space.mean[space.names.index("Close/Last")] == pytest.approx(0.0026, abs=2e-4)


# Images and arrays ----------------------------------------------------------------------------------------------------


def picture(path, x):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(x).save(path)


def test_folders_of_splits_classes_and_what_a_mac_leaves(trained, kept, tmp_path):
    for part, count in (("train", 20), ("val", 6)):
        for name in ("cat", "dog"):
            for i in range(count):
                picture(kept / "photos" / part / name / f"{i}.png", RNG.integers(0, 255, (8, 8), dtype=np.uint8))
    words = ("data=image_folder", f"data.root={kept}/photos", "data.image_size=8", "data.channels=1", "model=mlp_vae")
    run = trained(*words, name="photos_run")
    context = opened(run, tmp_path)
    assert context.data.source.classes() == {"cat": 0, "dog": 1}
    assert len(context.data.in_order("val").indices) == 12
    shutil.copytree(kept / "photos" / "val" / "cat", tmp_path / "mac")
    for i in range(3):
        (tmp_path / "mac" / f"._{i}.png").write_bytes(b"\0\5\26\7Mac OS X")
    assert len(score(context, input=tmp_path / "mac", num_samples=2)) == 6


def test_twelve_bits_use_their_own_range(tmp_path):
    ramp = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    picture(tmp_path / "images" / "x.png", ramp)
    picture(tmp_path / "images" / "y.png", ramp // 2)
    source = ImageFolder(tmp_path / "images", image_size=16, channels=1)
    bright, dark = source.load("train").x[:, 0]
    assert (
        source.space.white == 4095
        and len(np.unique(bright)) == 256
        and bright.max() == 255
        and dark.max() in (127, 128)
    )


@pytest.mark.parametrize("x", [RNG.integers(0, 65_536, (40, 8, 8)).astype(np.uint16), RNG.uniform(-1, 1, (40, 8, 8))])
def test_the_scaling_suggested_for_images_gives_images(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(Refusal) as refused:
        Arrays(tmp_path / "x.npy").load("train")
    np.save(tmp_path / "y.npy", eval(re.search(r"save (.*)\.$", str(refused.value))[1], {"x": x}))
    y = Arrays(tmp_path / "y.npy").load("train").x[:, 0]
    np.testing.assert_allclose(y, (x - x.min().clip(-1, 0)) / (65_535 if x.max() > 1 else 2), atol=1e-3)


def test_columns_and_rows_without_variation_are_named(tmp_path):
    def warning(x):
        np.save(tmp_path / "x.npy", x)
        return DataModule(Arrays(tmp_path / "x.npy", cache=tmp_path / "cache")).unscaled()

    x = RNG.normal(0, 1, (300, 5))
    x[::7, 4], x[:, 1], x[:, 3] = np.nan, 3.0, np.where(np.arange(300) % 2, 0.5, np.nan)
    said = warning(x)
    assert said.startswith("2 of 5 columns of data=x hold a single value (column 1, from 0: 3). ")
    kept = eval(re.search(r"keep (.*)\.$", said)[1], {"x": x, "numpy": np})
    assert kept.shape == (300, 3) and not warning(kept)
    assert warning(np.full((300, 5), 3.0)).startswith("All rows of data=x are the same (216 compared)")
    assert "All rows of data=x are the same" in warning(np.full((300, 4, 4), 200, np.uint8))
    images = np.zeros((300, 4, 4))
    images[:, 1, 1] = RNG.uniform(size=300)
    assert not warning(images), "a margin of one value is usual"


@pytest.mark.parametrize("binarize", ["none", "dynamic"])
def test_images_of_a_coarser_scale_are_named(tmp_path, binarize):
    def warning(x):
        np.save(tmp_path / "x.npy", x)
        source = Arrays(tmp_path / "x.npy", cache=tmp_path / "cache")
        return DataModule(source, binarize=binarize if x.dtype == np.uint8 else "none").unscaled()

    x = RNG.integers(0, 17, (300, 4, 4)).astype(np.uint8)
    said = warning(x)
    assert said.startswith("Gray values of data=x are at most 16 of 255, so that all images are nearly black.")
    saved = eval(re.search(r"save (.*), and name", said)[1], {"x": x})
    assert saved.max() == 1 and not warning(saved)
    assert not warning(15 * x)


@pytest.mark.long
def test_the_scaling_suggested_for_features_makes_them_learnable(train, tmp_path):
    x = RNG.normal(0, 1e5, (300, 10)) + 1e6 * np.arange(10)
    np.save(tmp_path / "x.npy", x)
    advice = re.search(r"Save (\(x - .*?), and name that file", DataModule(Arrays(tmp_path / "x.npy")).unscaled())[1]
    np.save(tmp_path / "y.npy", eval(advice, {"x": x, "numpy": np}))
    words = [
        "model=mlp_vae",
        "data=arrays",
        "likelihood=gaussian",
        "network.hidden=[16]",
        f"data.path={tmp_path}/y.npy",
    ]
    done = train(*words, folder="run", tiny=SMALL)
    assert done.code == 0 and "Save (x" not in done.out + done.err, done.err
    assert abs(json.loads(Path("run/metrics.json").read_text())["test/nll"]) < 100


# Text -----------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_chinese_is_refused_with_the_unit_that_trains(train, tmp_path):
    signs = list("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏")
    (tmp_path / "x.txt").write_text("".join("".join(RNG.choice(signs, 12)) + "。\n" for _ in range(200)))
    words = ["model=text_vae", "data=text", f"data.path={tmp_path}/x.txt"]
    done = train(*words, tiny=SMALL)
    assert done.code == 1 and "Traceback" not in done.err
    hint = re.search(r"use (data\.unit=\w+)", done.err)[1]
    done = train(*words, hint, folder="run", tiny=SMALL)
    assert done.code == 0 and "<unk>" not in done.out, done.err
    space = yaml.safe_load(Path("run/config.yaml").read_text())["space"]
    assert all(sign in space["tokenizer"] or f"\\u{ord(sign):04x}" in space["tokenizer"] for sign in signs)


# What strangers send --------------------------------------------------------------------------------------------------


@pytest.fixture
def gray(kept):
    """A run of gray images, never trained."""
    words = ("model=mlp_vae", "network.hidden=[16]", "latents.dim=3", "likelihood=discretized_logistic", "data=digits")
    if not (kept / "gray").exists():
        write_run(kept / "gray", Image((1, 8, 8), bins=17), *words)
    return kept / "gray"


HEADERS = {
    "number": lambda header: 1,
    "deep": lambda header: None,
    "scale": lambda header: header["form"].update(scale="\n"),
    "infinite": lambda header: header["stream"].update(spare=float("inf")),
    "endless": lambda header: header["stream"]["sizes"].insert(1, 10**9),
}


@pytest.mark.parametrize("name", HEADERS)
def test_false_archives_are_refused_and_nothing_is_written(gray, tmp_path, name):
    context = opened(gray, tmp_path)
    np.save(tmp_path / "x.npy", RNG.integers(0, 17, (20, 1, 8, 8), dtype=np.uint8))
    compress(context, input=tmp_path / "x.npy", output=tmp_path / "small")
    body = (tmp_path / "small").read_bytes()[:-32]
    start = len(archive.MAGIC) + 5
    size = int.from_bytes(body[start - 4 : start], "little")
    header = json.loads(zlib.decompress(body[start : start + size]))
    changed = HEADERS[name](header)
    text = b"[" * 10**5 if name == "deep" else json.dumps(changed or header).encode()
    packed = zlib.compress(text)
    body = body[: start - 4] + len(packed).to_bytes(4, "little") + packed + body[start + size :]
    (tmp_path / "small").write_bytes(body + hashlib.sha256(body).digest())
    with pytest.raises(Refusal):
        decompress(context, input=tmp_path / "small", output=tmp_path / "back.npy")
    assert not (tmp_path / "back.npy").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(data=0.5),
        lambda config: config["data"]["module"]["source"].update(_target_="vaekit.tasks.shared.classifier.Examples"),
        lambda config: config["data"]["module"].update(dequantize={"a": 1}),
    ],
)
def test_a_foreign_configuration_is_refused_with_a_message(gray, tmp_path, change):
    shutil.copytree(gray, tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    change(config)
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))

    def work():
        context = opened(tmp_path / "run", tmp_path)
        sample(context, n=4)
        return context.data

    with pytest.raises(Refusal):
        work()


def test_names_of_classes_never_lead_out_of_a_tasks_folder(tmp_path, monkeypatch):
    """A stranger's table has a column of classes, which become names wherever they are written."""
    classes = ["../x", "/tmp/vaekit-class", "a/b", "..", "nl\nx", "con", "a:b"]
    columns = [f"{each:.2f}" for each in RNG.normal(size=105)], classes * 15
    path = write(tmp_path / "rows.csv", ["x", "kind"], *columns)
    words = ("data=table", f"data.path={path}", "data.label=kind", "model=table_vae", "network.hidden=[8]")
    run = write_run(tmp_path / "run", Table(path, label="kind").space, *words)
    monkeypatch.setattr(classifier, "STEPS", 2)
    context = opened(run, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for form in context.medium.set_writers:
        synthesize(context, n=20, format=form)
    made = set(tmp_path.rglob("*")) - set(before)
    assert made and all(each.parent == tmp_path / "out" for each in made) and not Path("/tmp/vaekit-class").exists()
