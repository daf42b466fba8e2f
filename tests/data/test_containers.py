"""Tables in JSON lines, SQLite and Excel files: read back as the CSV file of the same cells, and damaged ones."""

import json
import sqlite3
import zipfile
from contextlib import closing
from datetime import date, datetime

import pytest

from vaekit import in_memory
from vaekit.data.cells import read
from vaekit.data.containers import READERS
from vaekit.data.table import Table
from vaekit.refusal import Refusal

ROWS = [
    {"town": "Ulm", "height": 1.75, "visits": 3, "smokes": True, "born": "1970-01-31"},
    {"town": 'Kiel, "north"', "height": None, "visits": 12, "smokes": False, "born": "1980-02-28"},
    {"town": None, "height": 1.5, "visits": 0, "smokes": None, "born": None},
]
CELLS = {
    "town": ["Ulm", 'Kiel, "north"', None],
    "height": ["1.75", None, "1.5"],
    "visits": ["3", "12", "0"],
    "smokes": ["true", "false", None],
    "born": ["1970-01-31", "1980-02-28", None],
}


def write_lines(path, rows=ROWS):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_sqlite(path, tables):
    with closing(sqlite3.connect(path)) as database:
        for name, rows in tables.items():
            quoted = '"' + name.replace('"', '""') + '"'
            columns = ", ".join(f'"{each}"' for each in rows[0])
            database.execute(f"CREATE TABLE {quoted} ({columns})")
            database.executemany(
                f"INSERT INTO {quoted} VALUES ({', '.join('?' * len(rows[0]))})", [[*row.values()] for row in rows]
            )
        database.commit()
    return path


def write_excel(path, sheets):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def sheet_of(rows):
    return [[*rows[0]], *([*row.values()] for row in rows)]


def test_json_keeps_the_cells_as_they_are_written(tmp_path):
    assert read(write_lines(tmp_path / "rows.jsonl")) == CELLS
    (tmp_path / "rows.json").write_text(json.dumps(ROWS, indent=1))
    assert read(tmp_path / "rows.json") == CELLS
    (tmp_path / "forms.ndjson").write_text(
        '{"a": 1.50, "b": 1e5, "d": "\\u2028x"}\n\n{"a": 12345678901234567890, "c": NaN}\n'
    )
    found = read(tmp_path / "forms.ndjson")
    assert found == {"a": ["1.50", "12345678901234567890"], "b": ["1e5", None], "d": ["x", None], "c": [None, None]}
    assert found.location(1) == "line 3"


def test_sqlite_and_excel_hold_the_same_cells(tmp_path):
    rows = [{**row, "smokes": None if row["smokes"] is None else str(row["smokes"]).lower()} for row in ROWS]
    assert read(write_sqlite(tmp_path / "rows #1?.sqlite", {"people": rows})) == CELLS
    days = [{**row, "born": row["born"] and datetime.fromisoformat(row["born"])} for row in ROWS]
    path = write_excel(tmp_path / "rows.xlsx", {"people": [*sheet_of(days)[:2], [], *sheet_of(days)[2:]]})
    assert read(path) == CELLS
    assert read(path).location(1) == "line 4"


def test_a_table_or_sheet_is_named_or_all_are_listed(tmp_path):
    weird = 'a "b"; DROP TABLE x --'
    for path in (
        write_sqlite(tmp_path / "shop.db", {"x": [{"n": 1}], weird: [{"n": 2}]}),
        write_excel(tmp_path / "shop.xlsx", {"x": [["n"], [1]], "y": [["n"], [2]]}),
    ):
        with pytest.raises(Refusal, match=r"has 2 (table|sheet)s, expected one of x, .*data\.table=x"):
            read(path)
        with pytest.raises(Refusal, match=r"has no (table|sheet) 'z'"):
            read(path, table="z")
    assert read(tmp_path / "shop.db", table=weird) == {"n": ["2"]}
    assert read(tmp_path / "shop.xlsx", table="y") == {"n": ["2"]}
    with pytest.raises(Refusal, match="has 2 tables"):
        _ = Table(tmp_path / "shop.db").space


def test_excel_values_that_are_not_plain(tmp_path):
    rows = [
        ["when", "sum", "wide", None],
        [datetime(2020, 1, 31, 10), "=1+1", "a", None],
        [date(2020, 2, 1), 2.5, None, None],
    ]
    found = read(write_excel(tmp_path / "odd.xlsx", {"s": rows}))
    assert found == {"when": ["2020-01-31 10:00:00", "2020-02-01 00:00:00"], "sum": [None, "2.5"], "wide": ["a", None]}
    path = write_excel(tmp_path / "bare.xlsx", {"s": [[1, 2], [3, 4]]})
    assert read(path, ["a", "b"]) == {"a": ["1", "3"], "b": ["2", "4"]}
    with pytest.raises(Refusal, match="not a line of names"):
        read(path)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("cut.jsonl", '{"a": 1}\n{"a": ', "line 2"),
        ("cut.json", '[{"a": 1},\n{"a"', "line 2"),
        ("deep.jsonl", "[" * 200_000, "line 1"),
        ("nested.jsonl", '{"a": 1}\n{"a": [1, 2]}', "line 2, column 'a': holds several values"),
        ("numbers.json", "[1, 2]", r"row 0 \(from 0\): expected an object"),
        ("numbers.jsonl", "1\n2", "line 1: expected an object"),
        ("none.jsonl", "", "is empty"),
        ("none.json", "[]", "is empty"),
        ("sparse.jsonl", "\n".join(f'{{"{i}": 1}}' for i in range(500)), "500 columns in all"),
        ("text.sqlite", "not a database, but text that is long enough" * 30, "as SQLite"),
        ("none.sqlite", "", "holds no table"),
        ("text.xlsx", "not a zip", "as Excel"),
    ],
)
def test_damaged_files_are_refused_by_a_sentence(tmp_path, name, text, says):
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    (tmp_path / name).write_text(text)
    with pytest.raises(Refusal, match=says):
        read(tmp_path / name)


def test_truncated_locked_and_binary_databases_are_refused(tmp_path):
    path = write_sqlite(tmp_path / "rows.db", {"x": [{"n": "long" * 100}] * 200})
    (tmp_path / "cut.db").write_bytes(path.read_bytes()[:8192])
    with pytest.raises(Refusal, match="as SQLite"):
        read(tmp_path / "cut.db")
    with pytest.raises(Refusal, match="bytes"):
        read(write_sqlite(tmp_path / "bytes.db", {"x": [{"n": b"\xff"}]}))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Refusal, match="locked"):
            read(path)


def test_an_excel_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = write_excel(tmp_path / "rows.xlsx", {"x": [["n"], [1]]})
    with zipfile.ZipFile(path) as parts:
        size = sum(part.file_size for part in parts.infolist())
    monkeypatch.setattr("vaekit.data.containers.INFLATED", size - 1)
    with pytest.raises(Refusal, match="unpacked"):
        read(path)


@pytest.mark.parametrize("suffix", READERS)
def test_a_path_in_python_is_a_table_by_its_suffix(tmp_path, suffix):
    path = tmp_path / f"rows{suffix.upper()}"
    path.touch()
    assert in_memory.write(path, tmp_path / "data")["data"] == "table"
