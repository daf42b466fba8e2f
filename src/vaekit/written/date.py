"""How dates and times are written, in every cell of a column alike."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

ORDERS = [
    "Ymd",
    "dmY",
    "mdY",
    "dmy",
    "mdy",
    "dbY",
    "dBY",
    "bdY",
    "BdY",
    "dby",
    "Ybd",
    "adbY",
    "adBY",
    "abdY",
    "ABdY",
    "Ym",
    "mY",
    "bY",
    "BY",
    "by",
]
"""The fields of dates between marks, by the letters of strptime."""
RUNS = {8: "%Y%m%d", 6: "%Y%m", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates without marks, by the number of their digits."""
YEARS = (1800, 2199)  # of dates without separators, which may be numbers
CLOCK = re.compile(
    r"(?P<gap>T|,?\s+)?(?<!\d)\d{1,2}:\d\d(?P<second>:\d\d(?:\.\d+)?)?(?P<half>\s?[AaPp][Mm])?"
    r"(?P<zone>\s?(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?$",
    re.ASCII,
)
FRACTION = re.compile(r"\.%[fgn]")
STEPS = {"f": 1e-6, "n": 1e-6, "g": 1e-3, "S": 1.0, "M": 60.0, "H": 3600.0, "I": 3600.0, "": 24 * 3600.0}
"""The seconds between two cells, by the finest field of their pattern."""
SECONDS = "epoch_us(try_strptime(column0, ?)) / 1e6"
FIRST, LAST = -62_135_596_800, 253_402_300_799  # seconds from 1970 to the years 1 and 10000

_database = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
_lock = threading.Lock()


@dataclass(frozen=True)
class Date:
    """Dates or times of one pattern, that of DuckDB's strptime and strftime.

    Values are seconds since 1970. Any other text raises `ValueError`.

    Args:
        pattern: E.g. `%d/%m/%Y`; `%-d` is a day of one or two digits.

    Example:
        >>> from vaekit.written import Date
        >>> Date("%d/%m/%Y").parse(["02/01/1970", None])
        array([86400.,    nan])
    """

    pattern: str

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise ValueError(f"not a pattern of dates: {self.pattern!r}")
        try:
            self.write(np.zeros(1))
        except duckdb.Error as error:
            raise ValueError(f"not a pattern of dates: {self.pattern!r}") from error

    @property
    def fields(self) -> set[str]:
        """The letters of strptime in its pattern."""
        return {field[-1] for field in re.findall(r"%-?.", self.pattern)}

    @property
    def step(self) -> float:
        """The smallest difference of two cells, in seconds."""
        return next(step for field, step in STEPS.items() if field in {*self.fields, ""})

    noun = "date"

    @property
    def example(self) -> str:
        return self.write(np.array([1735603200.0]))[0]

    def parse(self, cells: Sequence[str | None]) -> np.ndarray:
        """The values of n cells `[n]` in double precision, NaN where they are missing or not of this form."""
        texts = np.array([*dict.fromkeys(cells)], dtype=object)
        values = _query(SECONDS, texts, self.pattern)
        if (
            whole := FRACTION.sub("", self.pattern)
        ) != self.pattern:  # whole seconds are often written without fraction
            values = np.ma.where(np.ma.getmaskarray(values), _query(SECONDS, texts, whole), values)
        value = dict(zip(texts.tolist(), np.ma.filled(values, np.nan).tolist(), strict=True))
        return np.array([value[cell] for cell in cells], dtype=np.float64)

    def write(self, values: np.ndarray) -> list[str]:
        """The cells of values `[n]`, none of them missing."""
        seconds = np.clip(np.rint(values / self.step) * self.step, FIRST, LAST)
        micro = np.rint(seconds * 1e6).astype(np.int64)
        return _query("strftime(make_timestamp(column0), ?)", micro, self.pattern).tolist()

    def agreement(self, cells: Sequence[str]) -> int:
        """How many of these cells `write` reproduces."""
        return sum(map(str.__eq__, self.write(np.nan_to_num(self.parse(cells))), cells))

    @classmethod
    def candidates(cls, cells: Sequence[str], offsets: bool = False) -> list[Date]:
        """The forms that some of these cells may have, every number in two digits.

        offsets: Whether each cell has its own time zone; otherwise all have that of the first.
        """
        samples = [cells[0], cells[len(cells) // 2], cells[-1]]
        patterns = [pattern for cell in samples for pattern in _patterns(cell, offsets)]
        return [cls(pattern) for pattern in dict.fromkeys(patterns)]

    def completed(self, cells: Sequence[str]) -> Date:
        """The form with a one-digit day, month or hour if these cells have it."""
        shorter = [re.sub(fields, r"%-\1", self.pattern) for fields in ("%([dm])", "%([HI])", "%([dmHI])")]
        return max((self, *map(Date, shorter)), key=lambda form: form.agreement(cells))


def _patterns(cell: str, offsets: bool) -> Iterator[str]:
    """The patterns that a cell may have."""
    clock = CLOCK.search(cell)
    time, day = [""], cell[: clock.start()] if clock else cell
    if clock:
        half, zone = re.sub("[AaPp][Mm]", "%p", clock["half"] or ""), clock["zone"] or ""
        zone = re.sub("[+-].*", "%z", zone) if offsets else zone
        seconds = [":%S", *(f":%S.%{each}" for each in ("fg" if offsets else "fgn"))] if clock["second"] else [""]
        time = [f"{clock['gap'] or ''}%{'I' if half else 'H'}:%M{each}{half}{zone}" for each in seconds]
    tokens = re.findall(r"[0-9]+|[^\W\d_]+|[\W_]+", day)
    fields = [token for token in tokens if token.isalnum()]
    if len(day) in RUNS and day.isascii() and day.isdecimal() and not clock:
        yield RUNS[len(day)]
    fits = {
        "Y": "[0-9]{4}",
        "y": "[0-9]{2}",
        "b": r"[^\W\d_]+",
        "B": r"[^\W\d_]+",
        "a": r"[^\W\d_]+",
        "A": r"[^\W\d_]+",
    }
    for order in [""] if not day and clock else ORDERS:
        if len(order) == len(fields) and all(
            re.fullmatch(fits.get(letter, "[0-9]{1,2}"), field) for letter, field in zip(order, fields, strict=True)
        ):
            letters = iter(order)
            date = "".join(f"%{next(letters)}" if each.isalnum() else each.replace("%", "%%") for each in tokens)
            yield from (date + each for each in time)


def _query(expression: str, column0: np.ndarray, pattern: str) -> Any:
    """A masked or plain array `[n]`: DuckDB's expression of each value of a column and a pattern."""
    with _lock:
        rows = _database.execute(f"SELECT {expression} AS y FROM column0", [pattern]).fetchnumpy()["y"]
    return rows
