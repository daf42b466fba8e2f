"""Table files of other programs: each is read as intended, or refused with file and line."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaekit.data.cells import MISSING, read
from vaekit.refusal import Refusal

SHAPES = {
    "semicolons": (
        "Betrag, EUR;Stück\n108,33;13\n106,39;0\n",
        {"Betrag, EUR": ["108,33", "106,39"], "Stück": ["13", "0"]},
    ),
    "commas in texts": ("Name, Vorname;Ort\nMeier, Anna;Ulm\n", {"Name, Vorname": ["Meier, Anna"], "Ort": ["Ulm"]}),
    "decimal commas": ("a;b\n1,5;2,5\n3,5;4,5\n", {"a": ["1,5", "3,5"], "b": ["2,5", "4,5"]}),
    "decimal commas and tabs": ("a\tb\n1,5\t2,5\n3,5\t4,5\n", {"a": ["1,5", "3,5"], "b": ["2,5", "4,5"]}),
    "pipes": ("a|b\n1|2\n", {"a": ["1"], "b": ["2"]}),
    "spaces": (
        "name   x    y\nAA  0.5   1.25\nBBB  7 1\n",
        {"name": ["AA", "BBB"], "x": ["0.5", "7"], "y": ["1.25", "1"]},
    ),
    "words between tabs": (
        "name\tfull age\nAnna 1\t0.5\nBob 2\t7\nBob 3\t8\n",
        {"name": ["Anna 1", "Bob 2", "Bob 3"], "full age": ["0.5", "7", "8"]},
    ),
    "words": ("full name\nAnna Smith\nBob Jones\n", {"full name": ["Anna Smith", "Bob Jones"]}),
    "R": ('"mpg" "cyl"\n"Mazda RX4" 21.5 6\n"Datsun" 22.8 4\n', {"mpg": ["21.5", "22.8"], "cyl": ["6", "4"]}),
    "Excel": ("sep=;\na;b\n1;2\n", {"a": ["1"], "b": ["2"]}),
    "pandas' header": ("0,1,2,label\n0.5,1.5,2.5,x\n", {"0": ["0.5"], "1": ["1.5"], "2": ["2.5"], "label": ["x"]}),
    "years": ("land,2020,2021\nDE,1.5,2\nFR,2,3\n", {"land": ["DE", "FR"], "2020": ["1.5", "2"], "2021": ["2", "3"]}),
    "a year": ("land,n,2020\nDE,83,5\nFR,,6\n", {"land": ["DE", "FR"], "n": ["83", None], "2020": ["5", "6"]}),
    "pandas' index": (",a,b\n0,1,2\n1,3,2\n", {"a": ["1", "3"], "b": ["2", "2"]}),
    "its index read and written": ("Unnamed: 0,a\n0,1\n1,3\n", {"a": ["1", "3"]}),
    "a comma at the end": ("a,b,\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}),
    "a comma at the end of rows": ("a,b\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}),
    "comments": ("# made by x\n# in y\na,b\n1,2\n", {"a": ["1"], "b": ["2"]}),
    "NumPy's header": ("# a,b\n1,2\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}),
    "blank lines": ("a,b\n\n1,2\n\n", {"a": ["1"], "b": ["2"]}),
    "lines in cells": ('a,b\n"x\ny",1\n"z",2\n', {"a": ["x\ny", "z"], "b": ["1", "2"]}),
    "doubled quotes": ('a,b\n"x ""q"" y",1\n', {"a": ['x "q" y'], "b": ["1"]}),
    "escaped quotes": ('a,b\n"x \\"q\\" y",1\n"z",2\n', {"a": ['x "q" y', "z"], "b": ["1", "2"]}),
    "single quotes": ("a,b\n'x,y',1\n'z',2\n", {"a": ["x,y", "z"], "b": ["1", "2"]}),
    "apostrophes": ("a,b\nO'Brien,1\n'tHooft,2\nLee,3\n", {"a": ["O'Brien", "'tHooft", "Lee"], "b": ["1", "2", "3"]}),
    "inches": ('a,b\n5" disk,1\n', {"a": ['5" disk'], "b": ["1"]}),
    "one column": ("amount\n1,5\n2,5\n", {"amount": ["1,5", "2,5"]}),
    "one column of texts": ("name\nAnna\nBob, the builder\n", {"name": ["Anna", "Bob, the builder"]}),
    "many columns": ("{}\n{}\n".format(*(",".join(f"{c}{i}" for i in range(5000)) for c in "cx")), None),
}


def save(folder, text, encoding="utf-8"):
    path = folder / "x.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(("text", "cells"), list(SHAPES.values()), ids=list(SHAPES))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_files_of_many_programs_are_read(tmp_path, text, cells, end):
    found = read(save(tmp_path, text.replace("\n", end)))
    assert len(found) == 5000 if cells is None else found == cells


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_files_that_say_their_encoding_are_read(tmp_path, encoding):
    assert read(save(tmp_path, "ä,b\nö,1\n", encoding)) == {"ä": ["ö"], "b": ["1"]}


@pytest.mark.parametrize("word", ["NULL", "None", "null", "NaN", "#N/A", "<NA>", "NaT", "#DIV/0!", "?", ".", ""])
def test_words_for_missing_cells(tmp_path, word):
    assert word in MISSING
    assert read(save(tmp_path, f"a,b\n{word},1\nx,2\n"))["a"] == [None, "x"]


@pytest.mark.parametrize(
    ("text", "encoding", "sentence"),
    [
        (
            "a,b\nMüller,1\n",
            "latin-1",
            r"x\.csv, line 2: byte 2, b'\\xfc', is not UTF-8.*iconv -f latin1 -t utf-8 .*x\.csv > utf8\.csv",
        ),
        ("a,b\nx,1\n", "utf-16-le", r"x\.csv, line 1: it holds a zero byte.*iconv -f utf-16le -t utf-8 .*x\.csv"),
        ("a,b\nx,1\n", "utf-16-be", r"x\.csv, line 1: it holds a zero byte.*iconv -f utf-16be -t utf-8 .*x\.csv"),
        ("ä,b\nx,1\n", "utf-16-le", r"x\.csv, line 1: it holds a zero byte.*iconv -f utf-16le -t utf-8 .*x\.csv"),
        ("a,b\nx\0,1\n", "utf-8", r"x\.csv, line 2: it holds a zero byte.* Name a file of text\.$"),
        ("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "latin1", r"x\.csv, line 3: it holds a zero byte.* Name a file of text\.$"),
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "utf-8", r"x\.csv, line 3: got 2 cells, expected 3"),
        ("# x\na,b\n1,2\n1,2,3\n", "utf-8", r"x\.csv, line 4: got 3 cells, expected 2"),
        ("Report of 2020\n\na,b,c\n1,2,3\n", "utf-8", r"x\.csv, line 3: got 3 cells, expected 1"),
        ('a,b\n"x,1\ny,2\n', "utf-8", r"x\.csv, line 2 \(unexpected end"),
        ("a,a\n1,2\n", "utf-8", "column name 'a' is empty or occurs twice"),
        (",a\nx,2\nx,3\n", "utf-8", "column name '' is empty"),
        ("a,b\n", "utf-8", "holds no rows"),
        ("\n\n", "utf-8", "is empty"),
        ('""\n""\n', "utf-8", "column name '' is empty"),
        ("1,2,3\n4,5,6\n", "utf-8", r"the first line holds the number 1.*data\.columns=\[a,b"),
        ("0,1\n1,0\n0,1\n", "utf-8", "the first line holds the number 0"),
    ],
)
def test_files_that_cannot_be_read_are_refused_by_line(tmp_path, text, encoding, sentence):
    with pytest.raises(Refusal, match=sentence):
        read(save(tmp_path, text, encoding))


def test_a_file_without_names_is_read_by_given_ones(tmp_path):
    path = save(tmp_path, "2.04,a\n0.42,c\n")
    found = read(path, ["x", "kind"])
    assert found == {"x": ["2.04", "0.42"], "kind": ["a", "c"]} and not found.headed
    found = read(save(tmp_path, "kind,x\na,2.04\n"), ["x", "kind"])
    assert found == {"x": ["2.04"], "kind": ["a"]} and found.headed, "the line of names is not a row"


def test_parquet_keeps_times_and_missing_cells(tmp_path):
    import duckdb

    path = tmp_path / "x.parquet"
    rows = "VALUES (TIMESTAMP '2020-01-02 10:00:00', 1.5, true), (NULL, NULL, NULL)"
    duckdb.sql(f"COPY (SELECT * FROM ({rows}) AS t(day, v, b)) TO '{path}'")
    assert read(path) == {"day": ["2020-01-02 10:00:00", None], "v": ["1.5", None], "b": ["true", None]}
    path.write_bytes(b"PAR1 is not enough")
    with pytest.raises(Refusal, match=r"Cannot read .*x\.parquet as parquet"):
        read(path)


text = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6).map(str.strip)
cell = st.one_of(text, st.integers(-999, 999).map(str), st.floats(-9, 9).map(lambda value: f"{value:.2f}"))


@pytest.mark.long
@settings(deadline=None, max_examples=200, database=None)
@given(st.data(), st.sampled_from(",;\t|"))
def test_written_files_round_trip(tmp_path_factory, data, separator):
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width).filter(any), min_size=1, max_size=6))
    path = tmp_path_factory.mktemp("again") / "x.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
            [["c"] * width, *rows]
        )
    found = read(path, [f"c{i}" for i in range(width)])
    assert [list(row) for row in zip(*found.values(), strict=True)][1:] == [
        [None if each in MISSING else each for each in row] for row in rows
    ]
