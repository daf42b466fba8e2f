"""Rows in memory: which containers are read, and what comes back."""

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pytest
import scipy.sparse
import torch
from torch.utils.data import TensorDataset

from helpers import GRAY, TABLE
from vaekit import Refusal, in_memory
from vaekit.data.arrays import Arrays
from vaekit.data.hf import HuggingFace
from vaekit.data.table import Table
from vaekit.data.text import Text as TextFile
from vaekit.in_memory import Container
from vaekit.spaces import Real

pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")
N = 60


def drawn(values):
    generator = np.random.default_rng(0)
    return [values[i] for i in generator.integers(0, len(values), N)]


def there_and_back(x, folder, stored=False):
    """Rows of a table, written, read, encoded and decoded. `stored`: with the types that stand in the folder only."""
    rows = in_memory.convert(x)
    source = Table(in_memory.write(rows, folder)["data.path"])
    container = Container.stored(folder, source.space) if stored else Container.of(x, rows, source.space)
    return container.examples(torch.from_numpy(np.array(source.load("train").x)), source.space)


class OnGpu:
    """An array that cannot be converted implicitly, as those of CuPy."""

    def __init__(self, x):
        self.x = x

    def __array__(self, *args, **keywords):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __dlpack__(self, **keywords):
        return self.x.__dlpack__()

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


class Arraylike:
    """An array of another library, as those of xarray."""

    def __array__(self, dtype=None, copy=None):
        return np.eye(3)


@pytest.mark.parametrize(
    "x",
    [
        np.eye(3),
        torch.eye(3),
        torch.eye(3).to_sparse(),
        torch.eye(3, dtype=torch.bfloat16),
        torch.eye(3, requires_grad=True),
        scipy.sparse.csr_matrix(np.eye(3)),
        scipy.sparse.coo_array(np.eye(3)),
        np.eye(3, dtype=object),
        np.eye(3).tolist(),
        [*np.eye(3)],
        (row for row in np.eye(3)),
        OnGpu(torch.eye(3)),
        Arraylike(),
        np.ma.masked_array(np.eye(3)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_arrays_of_any_library_by_its_protocol(x):
    assert np.array_equal(in_memory.convert(x), np.eye(3))


def test_masked_values_and_none_are_missing():
    masked = in_memory.as_array(np.ma.masked_greater([[1, 9], [2, 3]], 5))
    assert np.array_equal(masked, [[1, np.nan], [2, 3]], equal_nan=True)
    holes = in_memory.as_array(np.array([[1, None], [2, 3]], dtype=object))
    assert np.array_equal(holes, [[1, np.nan], [2, 3]], equal_nan=True)


@pytest.mark.parametrize(
    "x",
    [
        ["a b", "c d"],
        iter(["a b", "c d"]),
        np.array(["a b", "c d"]),
        np.array(["a b", "c d"], dtype=object),
        pandas.Series(["a b", "c d"]),
        polars.Series(["a b", "c d"]),
        pyarrow.chunked_array([["a b"], ["c d"]]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_sentences_of_any_container(x):
    assert in_memory.convert(x) == ["a b", "c d"]


@pytest.mark.parametrize("text", ["word " * 100, "~nobody walks", "a\0b"], ids=["long", "tilde", "null"])
def test_text_that_cannot_be_a_path_is_a_sentence(text):
    assert in_memory.convert([text]) == [text]


def test_one_long_sentence_is_not_a_file(tmp_path):
    sentences = TextFile(in_memory.write(["a b", "c d"], tmp_path)["data.path"], min_count=1)
    path = in_memory.as_file(in_memory.convert("word " * 100), tmp_path / "one", sentences.space)
    assert path.read_text().split() == ["word"] * 100
    with pytest.raises(Refusal, match="There is no file or folder"):
        in_memory.write(in_memory.convert("word " * 100), tmp_path)


def test_files_and_paths(tmp_path):
    (tmp_path / "a.png").touch()
    assert in_memory.convert([str(tmp_path / "a.png")]) == [tmp_path / "a.png"]
    assert in_memory.convert(str(tmp_path)) == tmp_path
    with pytest.raises(Refusal, match=r"There is no file .*b\.png"):
        in_memory.convert([tmp_path / "a.png", tmp_path / "b.png"])


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (
            polars.DataFrame({"a": [1]}).lazy(),
            r"Got polars.*LazyFrame, expected an array .*__arrow_c_stream__.* Try x\.collect\(\)\.$",
        ),
        ({"a b"}, "Got set, expected"),
        (b"ab", "Got bytes, expected"),
        (object(), "Got object, expected"),
        (np.array([1j]), "expected an array"),
        (torch.utils.data.TensorDataset(torch.eye(3)), "Got torch.*TensorDataset, expected"),
        (torch.utils.data.DataLoader(torch.eye(3)), "Got torch.*DataLoader, expected"),
        ([np.eye(2), np.eye(3)], "Cannot make an array of numbers of list"),
        ([object()], "Cannot make an array of numbers of list"),
        (["a b", None], r"x\[1\] is None, expected text"),
        (["a b", " "], r"x\[1\] is ' ', expected text"),
        (np.zeros((0, 3)), r"Got an array of shape \[0, 3\], expected at least one row"),
        (np.zeros((3, 0)), r"Got an array of shape \[3, 0\]"),
        ([], r"Got an array of shape \[0\]"),
        ({"a": [1, 2], "b": [1]}, "The table cannot be read .*length"),
        ({"a": np.eye(2)}, "The table cannot be read .*1-dimensional"),
        (pandas.DataFrame(), "Got a table of 0 rows and 0 columns"),
        (pandas.DataFrame({"a": []}), "Got a table of 0 rows and 1 columns"),
        (polars.DataFrame(), "Got a table of 0 rows and 0 columns"),
        (pandas.DataFrame({"a": [[1, 2]]}), "The column 'a' holds list"),
        (pandas.DataFrame({"a": [b"a"]}), "The column 'a' holds binary"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "column name 'a' is empty or occurs twice"),
        (pandas.DataFrame([[1, 2]], columns=[1, "1"]), "column name '1' is empty or occurs twice"),
        ({"": [1]}, "column name '' is empty"),
    ],
)
def test_everything_else_is_refused(x, says):
    with pytest.raises(Refusal, match=says):
        in_memory.convert(x)


COLUMNS = {
    "int8": np.array(drawn(range(100)), dtype=np.int8),
    "float32": np.array(drawn([0.5, 1.25, 7.5]), dtype=np.float32),
    "float16": np.array(drawn([0.5, 1.25, 7.5]), dtype=np.float16),
    "Int64": pandas.array(drawn([1, None, 3, 4, 500]), dtype="Int64"),
    "Float32": pandas.array(drawn([1.5, None, 2.25]), dtype="Float32"),
    "boolean": pandas.array(drawn([True, None, False]), dtype="boolean"),
    "bool": drawn([True, False]),
    "object of booleans": np.array(drawn([True, None, False]), dtype=object),
    "string": pandas.array(drawn(["a", None, "b"]), dtype="string"),
    "object of text": np.array(drawn(["a", None, "b"]), dtype=object),
    "codes": drawn(["01", "02", "13"]),
    "datetime": pandas.to_datetime(drawn(["2020-01-01 12:00", "2021-05-01", "1999-01-02"]), format="mixed"),
    "time zone": pandas.date_range("2020-01-01", periods=N, freq="31h", tz="Europe/Berlin"),
    "timedelta": pandas.to_timedelta(drawn(range(40)), unit="m"),
    "period": pandas.PeriodIndex(drawn(["2020-01", "2021-05", "2020-07"]), freq="M"),
    "date": drawn([dt.date(2020, 1, day + 1) for day in range(20)]),
    "time": drawn([dt.time(hour, 5) for hour in range(20)]),
    "decimal": drawn([Decimal("1.50"), Decimal("2.25"), Decimal("3.75")]),
    "category": pandas.Categorical(drawn(["a", "b"]), categories=["z", "b", "a"]),
    "category with spaces": pandas.Categorical(drawn([" a", "b "])),
    "ordered category of numbers": pandas.Categorical(drawn([1, 2, 3]), categories=[3, 2, 1, 9], ordered=True),
    "category of booleans": pandas.Categorical(drawn([True, False])),
    "category of dates": pandas.Categorical(pandas.to_datetime(drawn(["2020-01-01", "2020-02-01", "2021-01-01"]))),
    "Arrow": pandas.array(drawn([1.5, 2.5, 3.25]), dtype="double[pyarrow]"),
}


@pytest.mark.parametrize("stored", [False, True], ids=["given", "stored"])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_pandas_come_back(name, stored, tmp_path):
    given = pandas.DataFrame({name: COLUMNS[name], "other": drawn([0.5, 1.5, 2.5])}, index=range(5, 5 + N))
    made = there_and_back(given, tmp_path, stored)
    pandas.testing.assert_frame_equal(made, given.reset_index(drop=True) if stored else given, rtol=1e-3)


def test_columns_of_several_types_and_intervals_come_back_as_text(tmp_path):
    cut = pandas.cut(np.array(drawn([1.0, 2.0, 3.0])), 2)
    given = pandas.DataFrame({"mixed": np.array(drawn([1, "a", None]), dtype=object), "cut": cut})
    made = there_and_back(given, tmp_path)
    assert set(made["mixed"].dropna()) == {"1", "a"}
    assert list(made["cut"]) == list(map(str, cut))
    assert made["cut"].cat.ordered


@pytest.mark.parametrize("stored", [False, True], ids=["given", "stored"])
@pytest.mark.parametrize(
    "names",
    [
        [0, 1, 2],
        [0, "a", None],
        [1.5, True, -1],
        pandas.MultiIndex.from_tuples([("m", 1), ("m", 2), ("k", 1)]),
        ["a", "A", "b"],
        ["a b", 'q"u', "it's"],
        ["a,b", "x\ny", "t\tz"],
        [" a", "b ", "a.b=c"],
        ["NA", "?", "{x}"],
    ],
    ids=str,
)
def test_any_names_of_columns_come_back(names, stored, tmp_path):
    given = pandas.DataFrame({i: drawn([0.5, 1.5, 2.5 + i]) for i in range(3)}).set_axis(names, axis=1)
    pandas.testing.assert_frame_equal(there_and_back(given, tmp_path, stored), given)


def test_names_that_are_dates_come_back_in_memory(tmp_path):
    given = pandas.DataFrame({day: drawn([0.5, 1.5, 2.5]) for day in pandas.date_range("2020-01-01", periods=2)})
    pandas.testing.assert_frame_equal(there_and_back(given, tmp_path), given)


@pytest.mark.parametrize("stored", [False, True], ids=["given", "stored"])
def test_columns_of_polars_come_back(stored, tmp_path):
    zone = polars.Datetime("ms", "Europe/Berlin")
    given = polars.DataFrame(
        {
            "category": polars.Series(drawn(["a", "b"]), dtype=polars.Categorical),
            "enum": polars.Series(drawn(["a", "b"]), dtype=polars.Enum(["b", "a", "z"])),
            "time": drawn([dt.time(1, 2), dt.time(3, 4), None]),
            "duration": drawn([dt.timedelta(1), dt.timedelta(hours=2)]),
            "zone": polars.Series(drawn([dt.datetime(2020, 1, 1), dt.datetime(2021, 1, 1)]), dtype=zone),
            "decimal": drawn([Decimal("1.5"), Decimal("2.5")]),
            "byte": polars.Series(drawn([1, 2, None]), dtype=polars.UInt8),
            "bool": drawn([True, False, None]),
            "text": drawn(["x", "y", "z"]),
        }
    )
    made = there_and_back(given, tmp_path, stored)
    assert made.schema == given.schema
    assert made.equals(given)


def test_tables_of_arrow_and_others_by_its_protocol(tmp_path):
    given = pyarrow.table({"a": drawn([0.5, 1.5, 2.5]), "b": drawn(["x", "y"])})
    made = there_and_back(given, tmp_path / "arrow")
    assert isinstance(made, pyarrow.Table)
    assert made.equals(given)

    class Stream:
        shape = given.shape

        def __arrow_c_stream__(self, requested_schema=None):
            return given.__arrow_c_stream__(requested_schema)

    assert there_and_back(Stream(), tmp_path / "stream").equals(given.to_pandas())


def test_a_list_of_dicts_is_a_table():
    x = [{"a": 1, "b": "x"}, {"b": "y"}]
    rows = in_memory.convert(x)
    assert rows.to_pydict() == {"a": [1, None], "b": ["x", "y"]}
    assert Container.of(x, rows, TABLE).kind == "pandas"


def test_a_row_of_a_data_frame_is_refused_with_how_to_keep_its_axis():
    with pytest.raises(Refusal, match=r"Give one row of a DataFrame as df\.iloc\[\[0\]\]\.$"):
        in_memory.convert(pandas.DataFrame({"a": ["x"], "b": [1]}).iloc[0])


def test_channels_of_another_number_are_refused_in_the_shape_that_was_given(tmp_path):
    file = in_memory.as_file(np.zeros((2, 3, 8, 8), np.float32), tmp_path, GRAY)
    assert np.load(file).shape == (2, 3, 8, 8)


def test_a_dict_of_columns_is_a_table(tmp_path):
    columns = {"a": torch.tensor(drawn([0.5, 1.5, 2.5])), 7: drawn(["x", "y"]), "c": pandas.Series(drawn([1, 2, 5]))}
    made = there_and_back(columns, tmp_path)
    assert list(made.columns) == ["a", 7, "c"]
    assert np.array_equal(made["a"], columns["a"])
    assert list(made[7]) == columns[7]


def test_stored_types_are_read_as_data_only(tmp_path):
    there_and_back({"a": drawn([0.5, 1.5]), "b": drawn(["x", "y"])}, tmp_path)
    (tmp_path / "rows.arrow").write_bytes(b"ARROW1\0\0 broken")
    with pytest.raises(Refusal, match=r"Cannot read .*rows\.arrow"):
        Container.stored(tmp_path, Table(tmp_path / "rows.parquet").space)


def test_a_stored_array_is_not_read_for_its_axes(tmp_path, monkeypatch):
    labels = in_memory.as_labels(np.arange(4), None, np.zeros((4, 2)))
    in_memory.write(np.zeros((4, 2)), tmp_path, labels)
    monkeypatch.setattr("vaekit.data.npz.Npz.__getitem__", None)
    assert Container.stored(tmp_path, Real((2,))) == Container()


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, -1],
        (0, 1, None),
        np.array([0, 1, -1], dtype=np.int8),
        np.array([0.0, 1.0, np.nan]),
        torch.tensor([0, 1, -1]),
        pandas.Series([0, 1, None], index=[7, 8, 9]),
        pandas.array([0, 1, None], dtype="Int64"),
        polars.Series([0, 1, None]),
        pandas.array([False, True, None], dtype="boolean"),
        np.array([False, True, None], dtype=object),
    ],
    ids=str,
)
def test_labels_that_are_numbers(labels, tmp_path):
    found = in_memory.as_labels(labels, np.eye(3), np.eye(3))
    assert found.numbers.tolist() == [0, 1, -1]
    assert found.names == ()
    assert in_memory.write(np.eye(3), tmp_path, found)["data.num_classes"] == 2, "which condition=label needs"


@pytest.mark.parametrize(
    "labels",
    [
        ["dog", "cat", None],
        np.array(["dog", "cat", ""]),
        pandas.Series(["dog", "cat", None]),
        pandas.Categorical(["dog", "cat", None], categories=["dog", "cat", "eel"]),
        polars.Series(["dog", "cat", None]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_labels_that_are_text(labels, tmp_path):
    found = in_memory.as_labels(labels, np.eye(3), np.eye(3))
    assert (found.numbers.tolist(), found.names) == ([1, 0, -1], ["cat", "dog"])
    source = Arrays(in_memory.write(np.eye(3), tmp_path, found)["data.path"])
    assert source.load("train").label.tolist() == [1, 0, -1]
    assert source.classes() == {"cat": 0, "dog": 1}


def test_labels_of_a_table(tmp_path):
    frame = pandas.DataFrame({0: drawn([0.5, 1.5, 2.5]), 3: drawn(["x", "y"])}, index=range(5, 5 + N))
    rows = in_memory.convert(frame)
    named = in_memory.write(rows, tmp_path, in_memory.as_labels(3, frame, rows))
    assert Table(named["data.path"], label=named["data.label"]).classes() == {"x": 0, "y": 1}
    labels = in_memory.as_labels(frame[3].rename("kind"), frame, rows)
    added = in_memory.write(rows, tmp_path, labels)
    source = Table(added["data.path"], label=added["data.label"])
    assert source.classes() == {"x": 0, "y": 1}
    assert source.load("train").label.tolist() == labels.numbers.tolist()
    assert source.space.names == ["0", "3", "label"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 1], r"shape \[2\] for 3 rows"),
        (np.eye(3), r"shape \[3, 3\] for 3 rows"),
        ([0, 1, 0.5], r"labels\[2\] is 0\.5, expected a class"),
        ([0, 1, -2], r"labels\[2\] is -2, expected a class"),
        (pandas.Series([0, 1, 2], index=[2, 1, 0]), "labels have another index than x"),
        ("b", "Got labels='b', expected one of the columns a"),
    ],
    ids=str,
)
def test_labels_that_are_refused(labels, says):
    frame = pandas.DataFrame({"a": [0.5, 1.5, 2.5]})
    with pytest.raises(Refusal, match=says):
        in_memory.as_labels(labels, frame, in_memory.convert(frame))


def test_the_name_of_a_column_labels_tables_only():
    with pytest.raises(Refusal, match="labels='b', expected the class of each row"):
        in_memory.as_labels("b", np.eye(3), np.eye(3))


def test_refusals_name_the_argument_and_not_the_file(tmp_path):
    x = np.array([[1.0, np.inf], [1.0, 2.0]])
    path = in_memory.write(x, tmp_path)["data.path"]
    with pytest.raises(Refusal, match=r"^x holds infinite values") as raised, in_memory.named({tmp_path: "x"}):
        Arrays(path, cache=tmp_path).load("train")
    assert str(tmp_path) not in str(raised.value)
    frame = pandas.DataFrame({"a": [*map(str, range(40)), "4x"]})
    path = in_memory.write(in_memory.convert(frame), tmp_path)["data.path"]
    with pytest.raises(Refusal, match=r"^input, row 40 .*column 'a': got '4x'"), in_memory.named({tmp_path: "input"}):
        _ = Table(path).space


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.eye(3), r"Got an array of shape \[3, 3\], expected a table with the columns a, b"),
        (["a b"], "Got a list of 'a b', ..., expected a table"),
        ({"a": [1]}, r"Got a table, expected an array \[N, 3\]"),
        (["no.png"], r"Got a list of 'no\.png', \.\.\., expected an array \[N, 3\], or existing files"),
    ],
    ids=str,
)
def test_examples_of_another_form_than_the_run_are_refused(x, says, tmp_path):
    table = in_memory.convert({"a": drawn([0.5, 1.5]), "b": drawn(["x", "y"])})
    path = in_memory.write(table, tmp_path)["data.path"]
    space = Table(path).space if "expected a table" in says else Real((3,))
    with pytest.raises(Refusal, match=says):
        in_memory.as_file(in_memory.convert(x), tmp_path, space)


def test_data_sets_of_hugging_face_are_stored_with_a_model_of_their_kind(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    table = datasets.Dataset.from_dict({"a": drawn([0.5, 1.5]), "b": drawn(["x", "y"])})
    assert in_memory.convert(table) is table
    settings = in_memory.write(table, tmp_path / "table", in_memory.as_labels("b", table, table))
    assert settings == {
        "data": "hf",
        "data.name": tmp_path / "table" / "set",
        "data.cache": tmp_path / "table" / "cache",
        "data.label": "b",
        "model": "table_vae",
        "likelihood": "table",
    }
    text = datasets.Dataset.from_dict({"text": ["a b", "c d"]})
    assert in_memory.write(text, tmp_path / "text")["model"] == "text_vae"
    space = HuggingFace(str(tmp_path / "text" / "set"), min_count=1, cache=tmp_path).space
    path = in_memory.as_file(text.select([1]), tmp_path / "one", space)
    assert path.read_text() == "c d\n"
    with pytest.raises(Refusal, match="names a column of a Dataset"):
        in_memory.write(table, tmp_path / "labels", in_memory.as_labels([0, 1] * 30, table, table))


def test_streams_of_hugging_face_are_refused_with_how_to_read_them():
    datasets = pytest.importorskip("datasets")
    x = datasets.Dataset.from_dict({"a": [1, 2, 3]}).to_iterable_dataset()
    with pytest.raises(Refusal, match=r"streamed, .* Try datasets\.Dataset\.from_list\(list\(x\.take\(10_000\)\)\)\.$"):
        in_memory.convert(x)
    assert in_memory.convert(datasets.Dataset.from_list(list(x.take(10_000)))).num_rows == 3
    with pytest.raises(Refusal, match=r"list\(x\['train'\]\.take"):
        in_memory.convert(datasets.IterableDatasetDict({"train": x}))


def test_data_sets_of_torch_are_refused_with_how_to_stack_them():
    x = TensorDataset(torch.eye(3))
    with pytest.raises(Refusal, match=r"Got torch.*TensorDataset, .* Try torch\.stack\(\[row\[0\] for row in x\]\)\.$"):
        in_memory.convert(x)
    assert torch.stack([row[0] for row in x]).equal(torch.eye(3))


def test_names_are_stored_as_json(tmp_path):
    there_and_back(pandas.DataFrame({0: drawn([0.5, 1.5]), ("m", None): drawn(["x", "y"])}), tmp_path)
    schema = pyarrow.ipc.open_file(tmp_path / "rows.arrow").schema
    assert json.loads(schema.metadata[b"vaekit.names"]) == [0, ["m", None]]
