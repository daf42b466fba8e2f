"""The tables of `benchmarks/tables.py`: their files, the kinds of their columns, training and held-out rows."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

MISSING = "?"  # a missing category; missing numbers are NaN
HELD_OUT = 0.1  # of the rows of a table without test rows of its own
ADULT = [
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
]  # fmt: skip
MAGIC = ["fLength", "fWidth", "fSize", "fConc", "fConc1", "fAsym", "fM3Long", "fM3Trans", "fAlpha", "fDist"]


class Source(NamedTuple):
    """Files of a table.

    Args:
        paths: Training rows, or all rows; then test rows, if they have a file.
        target: The column to predict; None for the last one.
        codes: Columns of numbers that are names of categories.
        origin: Where the files come from.
    """

    paths: tuple[str, ...]
    target: str | None = None
    codes: tuple[str, ...] = ()
    origin: str = ""


SOURCES = {
    "adult": Source(
        ("Tabular/adult/adult.data", "Tabular/adult/adult.test"),
        "income",
        origin="https://archive.ics.uci.edu/dataset/2",
    ),
    "shoppers": Source(
        ("Tabular/uci/online_shoppers.csv",),
        "Revenue",
        ("OperatingSystems", "Browser", "Region", "TrafficType"),
        "https://archive.ics.uci.edu/dataset/468",
    ),
    "magic": Source(
        ("Tabular/adbench/22_magic.gamma.npz",),
        "class",
        origin="https://github.com/Minqi824/ADBench, datasets/Classical",
    ),
    "telco": Source(
        ("Tabular/messy/telco_churn.csv",), "Churn", origin="https://github.com/IBM/telco-customer-churn-on-icp4d"
    ),
}


class Table(NamedTuple):
    """Training and held-out rows.

    Args:
        train, test: Numeric columns are float, all others str.
        target: The column to predict.
        codes: Columns of numbers that are names of categories.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    target: str
    codes: tuple[str, ...] = ()

    @property
    def numeric(self) -> list[str]:
        return list(self.train.select_dtypes("number"))


def source(word: str, root: Path) -> tuple[str, Source]:
    """Name and files of `adult` or of `NAME=PATH.csv` or `NAME=PATH.csv:TARGET`."""
    name, given, path = word.partition("=")
    if given:
        stem, suffix, target = path.rpartition(".csv")
        return name, Source((stem + suffix,), target.removeprefix(":") or None)
    found = SOURCES[name]
    return name, found._replace(paths=tuple(str(root / path) for path in found.paths))


def load(source: Source, seed: int) -> Table:
    """Rows of the files, split at random where the table has no test rows of its own.

    A column of text that differs in all rows identifies them, and is left out.
    """
    parts = [cells(Path(path)) for path in source.paths]
    whole = pd.concat(parts, ignore_index=True)
    target = source.target or whole.columns[-1]
    names = [each for each in whole if each == target or not identifies(whole[each])]
    numeric = [each for each in names if each not in source.codes and is_numeric(whole[each])]
    whole = typed(whole[names], numeric)
    if len(parts) == 2:
        first = len(parts[0])
    else:
        first = len(whole) - max(1, round(HELD_OUT * len(whole)))
        whole = whole.iloc[np.random.default_rng(seed).permutation(len(whole))]
    return Table(whole[:first].reset_index(drop=True), whole[first:].reset_index(drop=True), target, source.codes)


def cells(path: Path) -> pd.DataFrame:
    """Cells of a file, as text; NaN where they are missing."""
    if path.suffix == ".npz":  # ADBench: features, and whether a row is of the rarer class
        with np.load(path) as file:
            frame = pd.DataFrame(file["X"].round(6), columns=MAGIC).astype(str)
            return frame.assign(**{"class": np.where(file["y"] == 1, "hadron", "gamma")})
    options = {} if path.suffix == ".csv" else {"names": ADULT, "comment": "|"}  # the first line of adult.test
    frame = pd.read_csv(path, dtype=str, skipinitialspace=True, na_values=[MISSING, " "], **options)
    return frame if path.suffix == ".csv" else frame.assign(income=frame["income"].str.rstrip("."))


def read(path: Path, like: Table) -> pd.DataFrame:
    """Rows of a CSV file, with the columns and types of a table."""
    return typed(cells(path)[list(like.train)], like.numeric)


def write(rows: pd.DataFrame, path: Path) -> None:
    """Write a CSV file atomically."""
    part = path.with_suffix(".part")
    rows.to_csv(part, index=False, na_rep=MISSING)
    os.replace(part, path)


def typed(frame: pd.DataFrame, numeric: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: frame[name].astype(float) if name in numeric else frame[name].fillna(MISSING) for name in frame}
    )


def is_numeric(column: pd.Series) -> bool:
    """Numbers, of which there are more than two different ones."""
    known = column.dropna()
    return known.nunique() > 2 and bool(pd.to_numeric(known, errors="coerce").notna().all())


def identifies(column: pd.Series) -> bool:
    return column.nunique() == len(column) and not is_numeric(column)
