"""How dates and times are written, in every cell of a column alike."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

ORDERS = [
    "Ymd",
    "YmdH",
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
RUNS = {
    6: ["%Y%m", "%y%m%d", "%d%m%y", "%m%d%y"],
    8: ["%Y%m%d", "%d%m%Y", "%m%d%Y"],
    10: ["%Y%m%d%H"],
    12: ["%Y%m%d%H%M", "%y%m%d%H%M%S"],
    14: ["%Y%m%d%H%M%S"],
}
"""Dates without marks, by the number of their digits."""
YEARS = (1800, 2199)  # of dates without separators, which may be numbers
CLOCK = re.compile(
    r"(?P<gap>T|,?\s+)?(?<!\d)\d{1,2}(?P<mark>:|(?<=\s\d\d)\.)\d\d(?P<second>(?P=mark)\d\d(?:(?P<point>[.,])\d+)?)?"
    r"(?P<half>\s?[AaPp][Mm])?(?P<zone>\s?(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?(?![\d.])",
    re.ASCII,
)
WEEK = re.compile(r"\d{4}(-?)W\d\d(?:\1(\d))?", re.ASCII)
COMPACT = re.compile(r"\d{8}(\D)\d{4}(\d\d)?(Z?)", re.ASCII)
TOKENS = re.compile(r"[0-9]+|[^\W\d_]+|[\W_]+")
DIGITS = {"Y": "[0-9]{4}", "y": "[0-9]{2}", **dict.fromkeys("mdH", "[0-9]{1,2}")}
NAMES = {  # by the letters of strptime, abbreviated and in full
    "bB": "january february march april may june july august september october november december",
    "aA": "monday tuesday wednesday thursday friday saturday sunday",
}
WORDS = {
    letter: {word[:3] if letter.islower() else word for word in words.split()}
    for letters, words in NAMES.items()
    for letter in letters
}
CASES: dict[str, Callable[[str], str]] = {"": str, "upper": str.upper, "lower": str.lower}
FRACTION = re.compile("[.,]%[fgn]")
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
        case: Of letters, `upper` (05-JAN-2020) or `lower`; empty for that of strftime.

    Example:
        >>> from vaekit.written import Date
        >>> Date("%d/%m/%Y").parse(["02/01/1970", None])
        array([86400.,    nan])
    """

    pattern: str
    case: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str) or self.case not in ("", "upper", "lower"):
            raise ValueError(f"not a pattern of dates: {self.pattern!r}, {self.case!r}")
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
        cells = _query("strftime(make_timestamp(column0), ?)", micro, self.pattern).tolist()
        return [*map(CASES[self.case], cells)]

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
        """The form with a one-digit day, month or hour, and with letters of one case, if these cells have them."""
        shorter = [re.sub(fields, r"%-\1", self.pattern) for fields in ("%([dm])", "%([HI])", "%([dmHI])")]
        changed = (case for case in ("upper", "lower") if [*map(CASES[case], cells)] == [*cells])
        case = next(changed, "") if self.fields & {*WORDS} else ""
        return max((Date(each, case) for each in (self.pattern, *shorter)), key=lambda form: form.agreement(cells))


def _patterns(cell: str, offsets: bool) -> Iterator[str]:
    """The patterns that a cell may have."""
    if cell.isascii() and cell.isdecimal():
        yield from RUNS.get(len(cell), [])
    if week := WEEK.fullmatch(cell):
        yield f"%G{week[1]}W%V" + (f"{week[1]}%u" if week[2] else "")
    if compact := COMPACT.fullmatch(cell):
        yield f"%Y%m%d{compact[1]}%H%M{'%S' if compact[2] else ''}{compact[3]}"
    clock = CLOCK.search(cell)
    time, before, after = [""], cell, ""
    if clock:
        half, zone, mark = re.sub("[AaPp][Mm]", "%p", clock["half"] or ""), clock["zone"] or "", clock["mark"]
        zone = re.sub("[+-].*", "%z", zone) if offsets else zone
        fractions = (f"%S{clock['point'] or '.'}%{each}" for each in ("fg" if offsets else "fgn"))
        seconds = [f"{mark}{each}" for each in ("%S", *fractions)] if clock["second"] else [""]
        hour = f"{clock['gap'] or ''}%{'I' if half else 'H'}{mark}%M"
        time = [f"{hour}{each}{half}{zone}" for each in seconds]
        before, after = cell[: clock.start()], cell[clock.end() :]
    parts = [TOKENS.findall(re.sub(r"\s+", " ", part)) for part in (before, after)]
    fields = [token for part in parts for token in part if _is_field(token)]
    words = [token for part in parts for token in part if token.isalpha() and not _is_field(token)]
    if words and not clock and all(map(str.isascii, words)):  # a code
        return
    for order in ORDERS if fields or not clock else [""]:
        if len(order) == len(fields) and all(map(_is_of, order, fields)):
            letters = iter(order)
            first, last = (
                "".join(f"%{next(letters)}" if _is_field(each) else each.replace("%", "%%") for each in part)
                for part in parts
            )
            yield from (first + each + last for each in time)


def _is_field(token: str) -> bool:
    """Whether a token is a number, or the name of a month or weekday."""
    return token.isdecimal() or any(token.lower() in words for words in WORDS.values())


def _is_of(letter: str, token: str) -> bool:
    """Whether a token can be the field of a letter of strptime."""
    return token.lower() in WORDS[letter] if letter in WORDS else bool(re.fullmatch(DIGITS[letter], token))


def _query(expression: str, column0: np.ndarray, pattern: str) -> Any:
    """A masked or plain array `[n]`: DuckDB's expression of each value of a column and a pattern."""
    with _lock:
        rows = _database.execute(f"SELECT {expression} AS y FROM column0", [pattern]).fetchnumpy()["y"]
    return rows
