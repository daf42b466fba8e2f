"""Tables: kinds of columns, the way to numbers and back, and what is refused."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from helpers import TABLE, examples
from vaekit import quantiles, run_files, runs
from vaekit.data.cells import Cells, read
from vaekit.data.module import DataModule
from vaekit.data.table import Table, encode, infer, read_rows, write
from vaekit.media.medium import medium
from vaekit.refusal import Refusal
from vaekit.spaces.column import QUANTILES, Column
from vaekit.written import Number

RNG = np.random.default_rng(0)
N = 120
PEOPLE = {
    "town": [["Ulm", "Bonn", "Kiel, north"][i] for i in RNG.integers(3, size=N)],
    "height": [f"{value:.2f}" for value in RNG.normal(1.7, 0.1, N)],
    "balance": [f"{value:.1f}" for value in RNG.normal(0, 300, N)],
    "visits": [str(n) for n in [*range(31), *RNG.poisson(9, N - 31)]],
    "smokes": [["no", "yes"][i] for i in RNG.integers(2, size=N)],
    "grade": [str(n) for n in RNG.integers(1, 7, N)],
    "born": [f"19{year}-0{month}-1{month}" for year, month in RNG.integers((50, 1), (99, 9), (N, 2))],
}
KINDS = ["categorical", "positive", "real", "count", "binary", "ordinal", "date"]


def save(folder, columns=PEOPLE, name="people.csv", delimiter=","):
    path = folder / name
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


def test_kinds_are_inferred_and_may_be_said(tmp_path):
    space = Table(save(tmp_path)).space
    assert [column.kind for column in space.columns] == KINDS
    assert [column.name for column in space.columns] == list(PEOPLE)
    other = Table(tmp_path / "people.csv", types={"visits": "real", "grade": "categorical", "born": "ignore"}).space
    assert [column.kind for column in other.columns] == [*KINDS[:3], "real", "binary", "categorical"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_come_back_as_they_were(tmp_path, delimiter):
    source = Table(save(tmp_path, delimiter=delimiter))
    x = torch.from_numpy(source.load("train").x)
    source.space.check(x)
    write(tmp_path / "again.csv", x, source.space)
    assert read(tmp_path / "again.csv") == PEOPLE


def test_parquet_is_read_as_csv_is(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {**PEOPLE, "balance": [None, *map(float, PEOPLE["balance"][1:])], "grade": [*map(int, PEOPLE["grade"])]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "people.parquet")
    assert read(tmp_path / "people.parquet") == {**PEOPLE, "balance": [None, *PEOPLE["balance"][1:]]}


def test_quantiles_make_a_bell_of_several_modes_and_spikes_stand_inside():
    modes = np.concatenate([RNG.normal(-50, 1, 500), RNG.normal(50, 1, 500)])
    x = infer("x", [f"{value:.6f}" for value in modes]).encode([f"{value:.6f}" for value in modes])[0]
    assert abs(x.mean()) < 0.02 and abs(x.std() - 1) < 0.02
    zeros = ["0.000"] * 900 + [f"{value:.3f}" for value in RNG.exponential(1000, 100)]
    column = infer("gain", zeros)
    x, _ = column.encode(zeros)
    assert np.abs(x[:900]).max() < 0.2, "not at the edge"
    assert column.decode(x)[:900] == ["0.000"] * 900
    assert column.decode(np.array([[-9.0], [9.0]])) == [min(zeros, key=float), max(zeros, key=float)]


def test_frequent_values_among_many_others_keep_their_fractions():
    rng, frequent = np.random.default_rng(0), 1 / np.arange(2, 62)
    values = np.concatenate([frequent.repeat(50), rng.random(3000)])
    knots, at = quantiles.fit(values)
    drawn = np.interp(rng.normal(size=60_000), at, knots)
    fractions = (drawn[:, None] == frequent).mean(0)
    assert np.abs(fractions - 50 / 6000).max() < 0.002


def test_values_beyond_those_seen_lie_further_out():
    column = infer("x", [f"{value:.3f}" for value in RNG.normal(size=300)])
    x, _ = column.encode(["3", "5", "8"])
    assert 3 < x[0, 0] < x[1, 0] < x[2, 0] < 11


@pytest.mark.parametrize(("word", "warned"), [("NA", False), ("?", False), ("-", True), ("**", True)])
def test_missing_cells_are_written_with_the_word_of_the_file(tmp_path, caplog, word, warned):
    path, cells = tmp_path / "x.csv", [["1.5", "2.5", word, "4.5", "7.5"], ["a", word, "a", "b", "c"]]
    cells[1][1] = word if not warned else "b"
    path.write_text("\n".join(["x,kind", *map(",".join, zip(*cells, strict=True))]))
    source = Table(path)
    rows = source.load("train")
    assert [column.kind for column in source.space.columns] == ["positive", "categorical"]
    assert (f"in column 'x', '{word}' is read as a missing cell" in caplog.text) == warned
    write(tmp_path / "again.csv", torch.from_numpy(rows.x), source.space)
    assert (tmp_path / "again.csv").read_text() == path.read_text() + "\n"
    (tmp_path / "one.csv").write_text(f"x,kind\n{word},a\n")
    assert read_rows(tmp_path / "one.csv", source.space)["x"] == [None]


def test_missing_cells_are_the_mask(tmp_path):
    people = {**PEOPLE, "town": ["?", *PEOPLE["town"][1:]], "height": ["", "NA", *PEOPLE["height"][2:]]}
    source = Table(save(tmp_path, people))
    rows = source.load("train")
    widths = [column.width for column in source.space.ordered]
    names = np.repeat([column.name for column in source.space.ordered], widths)
    assert set(names[~rows.mask[0]]) == {"town", "height"} and set(names[~rows.mask[1]]) == {"height"}
    assert (rows.x[~rows.mask] == 0).all() and rows.mask[2:].all()
    assert [column.nullable for column in source.space.columns] == [name in ("town", "height") for name in PEOPLE]
    assert rows.x[:, source.space.indicators].sum(0).tolist() == [2, 1]
    write(tmp_path / "again.csv", torch.from_numpy(rows.x), source.space)
    assert read(tmp_path / "again.csv") == source._cells
    data = DataModule(source)
    data.setup()
    assert torch.isfinite(data.mean()).all()


def test_a_run_keeps_the_space_exactly(tmp_path):
    for space in (TABLE, Table(save(tmp_path)).space):
        text = run_files.describe({}, space)
        assert runs.read_space(yaml.load(text, runs._Loader)) == space


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "evil"},
        {"kind": "count"},
        {"categories": []},
        {"categories": [1, 2, 3]},
        {"categories": ["a", "a", "b"]},
        {"quantiles": [1.0]},
        {"form": {"places": "x"}},
        {"form": {"pattern": "%Q"}},
        {"_target_": "os.system"},
    ],
)
def test_a_run_with_no_such_column_is_refused(change):
    config = yaml.safe_load(run_files.describe({}, TABLE))
    config["space"]["columns"][0].update(change)
    with pytest.raises(Refusal, match=r"expected one of vaekit\.spaces"):
        runs.read_space(config)


def test_test_rows_have_a_file_of_their_own_in_any_order(tmp_path):
    turned = dict(reversed([(name, cells[:9]) for name, cells in PEOPLE.items()]))
    source = Table(save(tmp_path), test_path=save(tmp_path, turned, "test.csv"))
    assert np.array_equal(source.load("test").x, source.load("train").x[:9])


def test_a_file_without_a_line_of_names(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n3,4\n5,6\n")
    with pytest.raises(Refusal, match=r"holds the number 1.*data\.columns=\[a,b"):
        Table(tmp_path / "x.csv").space  # noqa: B018
    assert [column.name for column in Table(tmp_path / "x.csv", columns=["a", "b"]).space.columns] == ["a", "b"]


# A column that is the label -------------------------------------------------------------------------------------------


def labeled(folder, columns=PEOPLE, **options):
    return Table(save(folder, columns), label="smokes", **options)


def test_the_label_is_not_part_of_x_and_its_categories_are_the_classes(tmp_path):
    source, whole = labeled(tmp_path), Table(tmp_path / "people.csv").space
    assert source.classes() == {"no": 0, "yes": 1} and Table(tmp_path / "people.csv").classes() == {}
    assert [c.name for c in source.space.columns] == [name for name in PEOPLE if name != "smokes"]
    assert source.space.names == list(PEOPLE) and source.space.size == whole.size - 1
    rows = source.load("train")
    assert [("no", "yes")[label] for label in rows.label] == PEOPLE["smokes"]
    write(tmp_path / "again.csv", torch.from_numpy(rows.x), source.space, label=torch.from_numpy(rows.label))
    assert read(tmp_path / "again.csv") == PEOPLE


@pytest.mark.parametrize("name", ["town", "grade"])
def test_any_column_of_categories_can_be_it(tmp_path, name):
    source = Table(save(tmp_path), label=name)
    rows = source.load("train")
    assert [list(source.classes())[label] for label in rows.label] == PEOPLE[name]


def test_empty_cells_are_missing_labels_and_keep_the_row(tmp_path):
    source = labeled(tmp_path, {**PEOPLE, "smokes": ["", "?", *PEOPLE["smokes"][2:]]})
    rows = source.load("train")
    assert rows.label[:2].tolist() == [-1, -1] and (rows.label[2:] >= 0).all() and rows.mask is None
    write(tmp_path / "again.csv", torch.from_numpy(rows.x), source.space, label=torch.from_numpy(rows.label))
    assert read(tmp_path / "again.csv")["smokes"] == [None, None, *PEOPLE["smokes"][2:]]
    data = DataModule(source, labels=20, seed=1)
    train = data.in_order("train")
    kept = train.label[train.indices.unique()]
    assert [(kept == label).sum() for label in (0, 1)] == [10, 10], "missing labels are not a class"


def test_a_run_keeps_its_label_and_refuses_one_without_classes(tmp_path):
    space = labeled(tmp_path).space
    config = yaml.load(run_files.describe({}, space), runs._Loader)
    assert runs.read_space(config) == space
    config["space"]["label"]["kind"] = "count"
    with pytest.raises(Refusal, match=r"expected one of vaekit\.spaces"):
        runs.read_space(config)


def test_labels_of_a_file_of_test_rows(tmp_path):
    few = {name: cells[:9] for name, cells in PEOPLE.items()}
    source = labeled(tmp_path, test_path=save(tmp_path, few, "test.csv"))
    assert np.array_equal(source.load("test").label, source.load("train").label[:9])
    save(tmp_path, {**few, "smokes": [*few["smokes"][:3], "perhaps", *few["smokes"][4:]]}, "test.csv")
    with pytest.raises(Refusal, match=r"line 5, column 'smokes': 'perhaps' was not seen in training, expected"):
        source.load("test")
    del few["smokes"]
    save(tmp_path, few, "test.csv")
    assert source.load("test").label is None


@pytest.mark.parametrize(
    ("label", "types", "sentence"),
    [
        ("smoker", {}, "Got data.label=smoker, expected one of town, height, .*; use data.label=null"),
        ("smokes", {"smokes": "ignore"}, "Got data.label=smokes, expected one of town"),
        ("height", {}, r"data.label=height is a positive column, of numbers.*'data.types=\{height:categorical\}'"),
        ("visits", {}, r"data.label=visits is a count column"),
        ("smokes", {name: "ignore" for name in PEOPLE if name != "smokes"}, "leave no column"),
    ],
)
def test_columns_that_are_not_labels_are_refused(tmp_path, label, types, sentence):
    with pytest.raises(Refusal, match=sentence):
        Table(save(tmp_path), types=types, label=label).space  # noqa: B018


def changed(name, row, cell):
    return {**PEOPLE, name: [*PEOPLE[name][: row - 1], cell, *PEOPLE[name][row:]]}


@pytest.mark.parametrize(
    ("columns", "types", "sentence"),
    [
        (PEOPLE, {"height": "evil"}, "Got data.types with evil, expected real, positive"),
        (PEOPLE, {"heigth": "real"}, "names 'heigth', expected one of town, height"),
        (PEOPLE, {"town": "count"}, r"line 2, column 'town': got '.*', expected a number"),
        (PEOPLE, {"town": "ordinal"}, "column 'town': got '.*', expected a number"),
        (PEOPLE, {"balance": "positive"}, r"line \d+, column 'balance': got '-.*', expected a number above 0"),
        (PEOPLE, {"height": "count"}, r"line 2, column 'height': '.*' is not a count"),
        (PEOPLE, {"town": "date"}, r"line 2, column 'town': got '.*', expected a date"),
        (PEOPLE, {"town": "binary"}, "'town' has 3 different cells, not two; use 'data.types={town:categorical}'"),
        (changed("height", 7, "inf"), {}, r"line 8, column 'height': got 'inf', expected a finite number"),
        ({**PEOPLE, "height": ["?"] * N}, {}, "'height' has only missing cells; use 'data.types={height:ign"),
        ({**PEOPLE, "town": [f"${{oc.env:{i}}}" for i in range(N)]}, {}, "'town' holds"),
        ({**PEOPLE, "": PEOPLE["town"]}, {}, "the column name '' is empty or occurs twice"),
    ],
)
def test_columns_of_the_wrong_kind_are_refused(tmp_path, columns, types, sentence):
    with pytest.raises(Refusal, match=sentence):
        Table(save(tmp_path, columns), types=types).space  # noqa: B018


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("height", changed("height", 7, "unknown")["height"]),
        ("height", changed("height", 7, "1,75")["height"]),
        ("height", [*PEOPLE["height"][:6], *(cell.replace(".", ",") for cell in PEOPLE["height"][6:])]),
        ("balance", [*PEOPLE["balance"][:6], "1,234,56.5", *PEOPLE["balance"][7:]]),
        ("born", changed("born", 7, "1960-02-30")["born"]),
    ],
)
def test_a_few_invalid_cells_do_not_turn_numbers_or_dates_into_categories(name, cells):
    hint = rf"row 6 \(from 0\), column '{name}': got '{cells[6]}', expected a .*'data\.types={{{name}:categorical}}'"
    with pytest.raises(Refusal, match=hint):
        infer(name, cells)
    assert infer(name, cells, "categorical").kind == "categorical"


@pytest.mark.parametrize(
    ("cells", "following"),
    [
        ([str(i) for i in range(1, 121)], ["121", "122"]),
        ([f"{i}" for i in RNG.permutation(5000)[:2000] + 10_000], ["*", "*"]),
        ([f"id-{i:04d}" for i in range(2000)], ["id-2000", "id-2001"]),
        (["00017", *(f"{i:05d}" for i in range(20, 90)), None], ["00090", "00091"]),
        (
            [f"{first} {last}" for first in PEOPLE["height"][:9] for last in ("Abt", "Behr", "Cohn")] * 1,
            ["x-28", "x-29"],
        ),
    ],
)
def test_identifiers_are_not_modeled_and_new_rows_get_new_ones(cells, following):
    column = infer("x", cells)
    assert column.kind == "identifier" and column.width == 0
    new = column.decode(np.zeros((2, 0)))
    assert not {*new} & {*cells} and len({*new}) == 2
    assert following[0] == "*" or new == following


@pytest.mark.parametrize(
    "cells",
    [
        [str(n) for n in RNG.choice(10**6, 300, replace=False)],  # amounts that happen to differ
        [f"{value:.4f}" for value in RNG.normal(size=300)],
        [str(n) for n in range(1, 15)],
        PEOPLE["visits"],
    ],
)
def test_numbers_distinct_by_chance_are_not_an_identifier(cells):
    assert infer("x", cells).kind != "identifier"


def test_a_table_with_identifiers(tmp_path, caplog):
    people = {"id": [str(i) for i in range(1, N + 1)], **PEOPLE}
    source = Table(save(tmp_path, people))
    space, rows = source.space, source.load("train")
    (record,) = caplog.records
    assert "'id' identifies rows" in record.getMessage() and "'data.types={id:ignore}'" in record.getMessage()
    assert space.shape == Table(save(tmp_path, PEOPLE, "other.csv")).space.shape == rows.x.shape[1:]
    assert space.per_value(torch.ones(space.cell_shape)).shape == space.shape
    write(tmp_path / "again.csv", torch.from_numpy(rows.x), space)
    assert read(tmp_path / "again.csv") == {"id": [str(i) for i in range(N + 1, 2 * N + 1)], **PEOPLE}
    assert np.array_equal(encode(read(tmp_path / "other.csv"), space).x, rows.x)
    config = yaml.load(run_files.describe({}, space), runs._Loader)
    assert runs.read_space(config) == space
    with pytest.raises(Refusal, match="all columns are identifiers"):
        Table(save(tmp_path, {"id": people["id"]}, "ids.csv")).space  # noqa: B018


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("a,b\n", "is empty: it holds no rows; name a file that does"),  # a task's input may be meant
        ("a,b\nx,1\ny,2,3\n", "line 3: got 3 cells, expected 2"),
        ("a,b\nx 1\n", "line 2: got 1 cells, expected 2.*separate cells by .* or a tab"),
        ("a,a\nx,1\n", "the column name 'a' is empty or occurs twice"),
        (b"a,b\n\xff\xfe,1\n", "Cannot read"),
        (b"a,b\nx,1\n\xff\xfe,1\n", "Cannot read .*x.csv, line 3: byte 1"),
    ],
)
def test_files_that_are_not_a_table_are_refused(tmp_path, text, sentence):
    (tmp_path / "x.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Refusal, match=sentence):
        Table(tmp_path / "x.csv").space  # noqa: B018


def test_no_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"data\.path is not set"):
        Table(None)
    with pytest.raises(Refusal, match="There is no file"):
        Table(tmp_path / "none.csv").space  # noqa: B018


def test_unseen_values_are_encoded_with_one_warning(caplog):
    cells = {
        "town": ["Ulm", "Rome", "Rome"],
        "height": ["1.5", "1.5", "2.5"],
        "children": ["1", "2000", "-1"],
        "smokes": ["no", "perhaps", "no"],
        "grade": ["1"] * 3,
    }
    x = torch.from_numpy(encode(Cells(cells, Path("people.csv")), TABLE).x)
    height, children, smokes, town, *_ = x.split(TABLE.sizes, -1)
    assert town[1:].tolist() == [[0.0] * 3] * 2 and smokes[:, 0].tolist() == [0.0, 0.5, 0.0]
    assert 3.5 < height[2] < 11 and children[:, 0].tolist() == pytest.approx(np.log([2, 2001, 0.5]))
    (record,) = caplog.records
    said = record.getMessage()
    assert "people.csv: 2 rows" in said and "the first in row 1 (from 0))" in said
    assert "town: 2, height: 1, children: 2, smokes: 1" in said
    with pytest.raises(Refusal, match="has no column 'height'"):
        encode(Cells({"town": ["Ulm"]}, Path("people.csv")), TABLE)


def test_invalid_cells_are_refused_with_their_file_and_line(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("town,height\n\nUlm,1.5\n\nBonn,inf\n")
    with pytest.raises(Refusal, match=r"people.csv, line 5, column 'height': got 'inf'"):
        Table(path, types={"height": "real"}).space  # noqa: B018
    path.write_text("town,height\nUlm,1.5\nBonn,1.6\n")
    (tmp_path / "other.csv").write_text("town,height\n\nUlm,tall\n")
    with pytest.raises(
        Refusal,
        match=r"other.csv, line 3, column 'height': got 'tall', expected a number.* or leave the cell empty\.",
    ):
        Table(path, tmp_path / "other.csv", types={"height": "real"}).load("test")
    (tmp_path / "other.csv").write_text("town\nUlm\n")
    with pytest.raises(Refusal, match=r"other.csv has no column 'height'"):
        Table(path, tmp_path / "other.csv").load("test")


def test_means_become_the_nearest_likeliest_and_median_cells():
    grade = next(column for column in TABLE.columns if column.name == "grade")
    assert grade.decode(np.array([[0.4, 0.0, 0.3, 0.3]])) == ["3"]
    assert Column("c", "categorical", grade.categories).decode(np.array([[0.4, 0.0, 0.3, 0.3]])) == ["1"]
    assert Column("n", "count").decode(np.log1p(np.array([[2.4], [0.6]]))) == ["2", "1"]
    few = Column("x", "real", quantiles=np.linspace(-1, 1, QUANTILES), form=Number(1, 1))
    assert few.decode(np.array([[0.0], [-0.001]])) == ["0.0", "0.0"], "no minus before a zero"
    with pytest.raises(Refusal, match="means of categories"):
        TABLE.check(examples(TABLE, 3).x * 0.5)


@pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA names no folder of real data")
def test_the_wine_table():
    path = Path(os.environ["VAEKIT_DATA"]) / "Tabular/uci/winequality-red.csv"
    source = Table(path)
    assert [column.kind for column in source.space.columns].count("ordinal") == 1
    x = source.load("train").x
    assert x.shape[0] == 1599 and np.abs(x[:, : source.space.sizes[0]].std(0) - 1).max() < 0.2


# Values and their numbers ---------------------------------------------------------------------------------------------

LONG_TAILED = {
    "payments": np.exp(RNG.normal(3, 1.5, 27_000)).round(2),
    "mostly zero": np.concatenate([np.zeros(20_000), (100 + np.exp(RNG.normal(6, 1, 7000))).round(2)]),
    "fives": 5.0 * RNG.integers(0, 3000, 9000),
    "hours": RNG.integers(0, 24, 5000).astype(float),
    "two modes": np.concatenate([RNG.normal(-50, 1, 500), RNG.normal(50, 1, 500)]),
}


def column_of(values):
    return Column.from_values("x", "real", values, Number(places=2, padded=2))


def drawn(column, n, scale=1.0, seed=0):
    cells = column.decode(np.random.default_rng(seed).normal(0, scale, (n, 1)))
    return np.array(cells, dtype=float)


def figures(x):
    return x.mean(), x.std(), *np.quantile(x, (0.01, 0.99, 0.999))


@pytest.mark.parametrize("name", LONG_TAILED)
def test_normal_numbers_reproduce_the_marginal_of_the_file(name):
    values = LONG_TAILED[name]
    column, n = column_of(values), len(values)
    assert len(column.quantiles) <= 512
    found = np.array([figures(drawn(column, n, seed=seed)) for seed in range(20)])
    same = np.array([figures(RNG.choice(values, n)) for _ in range(20)])
    sampling_error = same.std(0) + 1e-3 * values.std()
    assert (np.abs(found.mean(0) - same.mean(0)) < 1.5 * sampling_error).all()
    assert (found.std(0) < 2 * sampling_error).all()


@pytest.mark.parametrize("name", LONG_TAILED)
def test_values_come_back_and_draws_keep_bounds_steps_and_gaps(name):
    values = LONG_TAILED[name]
    column, n = column_of(values), len(values)
    x, _ = column.encode([f"{value:.2f}" for value in values])
    again = np.array(column.decode(x), dtype=float)
    assert np.abs(again - values.round(2)).max() <= 0.011 + 1e-4 * np.abs(values).max()
    new = drawn(column, 10 * n, scale=1.5)
    assert new.min() >= values.min().round(2) and new.max() <= values.max().round(2)
    if name == "fives":
        assert column.step == 5 and (new % 5 == 0).all()
    if name == "hours":
        assert set(new) == set(values)
    if name == "mostly zero":
        assert ((new > 0) & (new < values[values > 0].min())).mean() < 2 / n
    if name == "two modes":
        assert (np.abs(new) < 40).mean() < 2 / n


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).beta(0.3, 0.3, 20_000).round(3),
        np.floor(10 * np.random.default_rng(0).pareto(1, 20_000)),
    ],
    ids=["both ends", "small numbers of a long tail"],
)
def test_frequent_values_among_many_keep_their_frequency(values):
    column, n = column_of(values), len(values)
    new = column.values(torch.special.ndtri((torch.arange(n) + 0.5).double() / n)[:, None].numpy())[:, 0]
    new = np.rint(new / column.step) * column.step
    for value, count in zip(*np.unique(values, return_counts=True), strict=True):
        if count > 0.02 * n:
            assert abs(np.isclose(new, value).sum() - count) < 0.1 * count
    assert len(column.quantiles) <= 512


def test_the_largest_doubles_have_no_infinite_range():
    values = np.array([-1.7e308, 0.0, 1.7e308])
    column = Column.from_values("x", "real", values, Number(significant=2, scientific=True))
    x, _ = column.encode(["-1.7e+308", "0.0e+00", "1.7e+308"])
    assert np.isfinite(x).all() and column.decode(x) == ["-1.7e+308", "0.0e+00", "1.7e+308"]


def test_the_largest_value_of_one_row_comes_back_less_often_than_once():
    for values in (LONG_TAILED["payments"], np.append(LONG_TAILED["hours"], 30.0)):
        column, n = column_of(values), len(values)
        z = np.random.default_rng(0).normal(size=(40, n, 1))
        for scale, most in ((1, 1), (1.05, 2)):
            drawn_values = np.stack([column.values(scale * each)[:, 0] for each in z])
            assert 0 < (drawn_values == values.max()).sum(1).mean() < most


def test_a_count_does_not_exceed_the_largest_count_of_the_file():
    column = infer("n", PEOPLE["visits"])
    assert column.decode(np.array([[9.0], [-1.0]])) == ["30", "0"] and column.largest == 30


def test_counts_unlike_a_negative_binomial_are_numbers_that_stay_whole():
    rng = np.random.default_rng(0)
    flat, sparse, waiting = rng.integers(0, 40, 60), rng.poisson(15, 400), rng.negative_binomial(2, 0.05, 300)
    for counts in (flat, sparse - sparse.min(), waiting - waiting.min()):
        assert infer("n", [str(n) for n in counts]).kind == "count"
    ends = np.where(rng.random(500) < 0.3, 0, np.where(rng.random(500) < 0.3, 72, rng.integers(0, 73, 500)))
    column = infer("n", [str(n) for n in ends])
    assert column.kind == "real" and column.step == 1
    made = np.array(column.decode(rng.normal(size=(20_000, 1))), dtype=int)  # a cell like 3.5 is not an int
    for end in (0, 72):
        assert (made == end).mean() == pytest.approx((ends == end).mean(), abs=0.02)
    assert infer("n", [str(n) for n in ends], "count").kind == "count", "where that is asked for"


@pytest.mark.parametrize("digits", [309, 341, 400])
def test_a_number_beyond_a_double_is_refused_with_its_row(digits):
    with pytest.raises(Refusal, match=r"^row 30 \(from 0\), column 'x': got '9+.143', expected a (finite )?number"):
        infer("x", [*(f"{n / 7:.3f}" for n in range(30)), f"{'9' * digits}.143"])


# Cells in the forms of other programs ---------------------------------------------------------------------------------


def rewritten(folder, text, **options):
    """A file's space, its cells, and those of its own rows written and read again."""
    (folder / "x.csv").write_text(text)
    source = Table(folder / "x.csv", **options)
    rows = source.load("train")
    write(folder / "again.csv", torch.from_numpy(rows.x), source.space)
    return source.space, read(folder / "x.csv"), read(folder / "again.csv")


def test_a_german_csv_file_round_trips(tmp_path):
    amounts = [f"{n}.{n % 10}{n % 7}".replace(".", ",") for n in range(100, 160)]
    lines = [f"{amount};{n % 25};{n}.{n + 500}" for n, amount in enumerate(amounts, 100)]
    space, cells, again = rewritten(tmp_path, "\n".join(["Betrag, EUR;Stück;Summe", *lines]))
    assert [column.kind for column in space.columns] == ["positive", "count", "positive"]
    assert again == cells and (tmp_path / "again.csv").read_text().startswith("Betrag, EUR;Stück;Summe\n100,0")
    total = space.columns[2]
    assert total.form.parse(["100.600"]) == [100600], "as the other column has decimal commas"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([f"${n:,}.50" for n in range(900, 1100, 7)], "positive"),
        ([f"({n}.25)" if n % 2 else f"{n}.25" for n in range(1, 31)], "real"),
        ([f"{n}.0" for n in range(0, 150, 5)], "real"),
        ([f"{n / 4}%" for n in range(1, 31)], "positive"),
        ([f"{n} kg" for n in range(50, 80)], "positive"),
        ([f"{n % 28 + 1:02}/{n % 12 + 1:02}/2021" for n in range(30)], "date"),
        ([f"{n:02}-Jan-2020" for n in range(1, 31)], "date"),
        ([f"{n % 24}:{n:02}" for n in range(30)], "date"),
        ([f"2020-01-{n:02}T10:00:00+02:00" for n in range(1, 31)], "date"),
        ([f"09{n:02}-01-02" for n in range(30)], "date"),
        ([f"202001{n:02}" for n in range(1, 31)], "date"),
        ([f"{n * 37:05}" for n in range(30)], "categorical"),
        ([f"15_{n}" for n in range(30)], "categorical"),
        ([f"+49170{n:07}" for n in range(30)], "categorical"),
    ],
)
def test_a_column_is_written_in_its_own_form(tmp_path, cells, kind):
    lines = [f'"{cell}",{n % 2}' for n, cell in enumerate(cells * 2)]
    space, before, again = rewritten(tmp_path, "\n".join(["a,b", *lines]))
    assert space.columns[0].kind == kind and again == before
    draws = torch.randn(200, *space.shape)
    column = space.columns[0]
    written = set(column.decode(draws[:, : column.width].numpy()))
    if kind == "categorical":
        assert written <= set(cells)
    else:
        assert np.isfinite(column.form.parse(list(written))).all()
        lengths = [*map(len, cells)]
        assert min(lengths) <= min(map(len, written)) and max(map(len, written)) <= max(lengths)


def test_a_few_powers_of_ten_do_not_make_whole_numbers_scientific(tmp_path):
    space, _, again = rewritten(tmp_path, "\n".join(["a,b", *(f"{n * n},{n % 2}" for n in range(1, 30)), "1e+05,0"]))
    assert again["a"] == [*(str(n * n) for n in range(1, 30)), "100000"]
    assert all(cell.isdecimal() for cell in space.columns[0].decode(np.linspace(-3, 3, 50)[:, None]))


def test_ambiguous_cells_are_reported_with_what_to_type(tmp_path, caplog):
    firsts = [f"01/{n % 12 + 1:02}/{2019 + n // 12}" for n in range(30)]
    lines = [f'{day},"{n},{n + 200}",name {n % 20}' for n, day in enumerate(firsts, 100)]
    text = "\n".join(["day,sum,name", *lines])
    space, *_ = rewritten(tmp_path, text)
    assert [column.kind for column in space.columns] == ["date", "positive", "categorical"]
    assert space.columns[0].form.pattern == "%d/%m/%Y" and space.columns[1].form.parse(["1,000"]) == [1000]
    day, total, name = (record.getMessage() for record in caplog.records)
    assert "'day': 01/02/2019 is read as 2019-02-01, but may mean 2019-01-02" in day and "{day:%m/%d/%Y}" in day
    assert "'sum': 100,300 is read as 100300, but may mean 100.3" in total and "data.decimal" in total
    assert "'name' has 20 different cells in 30 rows" in name and "{name:ignore}" in name
    caplog.clear()
    space, *_ = rewritten(tmp_path, text, types={"day": "%m/%d/%Y", "name": "ignore"}, decimal=",")
    assert space.columns[0].form.pattern == "%m/%d/%Y" and space.columns[1].form.parse(["1,000"]) == [1]
    assert not caplog.records
    with pytest.raises(Refusal, match=r"Got data\.types with %Q, expected real, .*ignore or %d/%m/%Y"):
        Table(tmp_path / "x.csv", types={"day": "%Q"}).space  # noqa: B018
    with pytest.raises(Refusal, match=r"Got data\.decimal=';', expected"):
        Table(tmp_path / "x.csv", decimal=";")


def test_a_file_without_names_is_read_again_by_those_of_the_run(tmp_path):
    rows = [f"{n / 8},{'abc'[n % 3]},{n}" for n in range(40)]
    (tmp_path / "x.csv").write_text("\n".join(rows))
    space = Table(tmp_path / "x.csv", columns=["x", "kind", "n"], types={"n": "ignore"}).space
    assert space.header == ("x", "kind", "n") and space.names == ["x", "kind"]
    (tmp_path / "new.csv").write_text("\n".join(rows[:7]))
    names, batches = medium(space).find(tmp_path / "new.csv")
    medium(space).write(tmp_path / "again", batches(slice(None)).x, 1)
    assert list(names) == list(range(7)) and read(tmp_path / "again.csv")["kind"] == [*"abcabca"]
    assert len(medium(space).find(tmp_path / "again.csv")[0]) == 7, "with names as well"
    config = yaml.load(run_files.describe({}, space), runs._Loader)
    assert runs.read_space(config) == space


def test_formulas_are_kept_unless_a_spreadsheet_reads_them(tmp_path):
    formulas = ["=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-2+3"]
    lines = [f'"{formulas[n % 4]}",{n % 20 - 10}' for n in range(40)]
    (tmp_path / "x.csv").write_text("\n".join(["a,n", *lines]))
    source = Table(tmp_path / "x.csv")
    x = source.load("train").x
    medium(source.space).set_writers["table"](tmp_path, x, None, {})
    assert set(read(tmp_path / "synthetic.csv")["a"]) == set(formulas)
    medium(source.space, spreadsheet=True).set_writers["table"](tmp_path, x, None, {})
    cells = read(tmp_path / "synthetic.csv")
    assert set(cells["a"]) == {f"'{formula}" for formula in formulas} and "-10" in cells["n"]
