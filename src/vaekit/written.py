"""How the numbers or dates of a column are written: from the text of its cells to values, and back.

A cell is the text that the file holds, stripped, or None where it is missing. Codes (ZIP codes, phone numbers, `15_33`)
are neither: leading zeros, underscores, digits of other alphabets and more digits than a double holds are text.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import duckdb
import numpy as np

MARKS = tuple((mark, group) for group in ("", *",.'\u2019 \xa0\u202f") for mark in ".," if mark != group)
"""Decimal mark and thousands separator, in the order in which they are tried."""
MINUS = "\u2212"  # that of typesetters
SIGNS = f"+{MINUS}-"  # in a class of a regular expression, the hyphen last
NEGATIVES = ("-{}", f"{MINUS}{{}}", "({})", "{}-")
LONGEST = 340  # digits of a number, at most
DIGITS = 15  # that a double holds exactly
FINEST = 9  # decimal places from which on digits tell one double from all others, rather than being a unit's
PHONE = 8  # digits behind a plus from which on they are a phone number
SAMPLE = 1000  # cells that show what stands around all numbers of a column
RUN = re.compile("[0-9]+")
NO_SIGNS = str.maketrans("", "", f"{SIGNS}()")

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
YEARS = (1800, 2199)  # of dates without marks, as they may be numbers
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
class Number:
    """Numbers in a form: `-1,234.50`, `$12`, `12,5 %`, `(3.00)`, `42.0`, `1.5e-07`.

    places: digits behind the decimal mark to which values are rounded. padded: how many are written, be they zeros
    (`42.0`: places 0, padded 1). significant: digits of a column of numbers like 1.5e-07; 0 for plain ones.
    scientific: whether all of those have an exponent (`1.50e+00`).
    prefix, suffix: what each cell starts and ends with. negative: one of `NEGATIVES`. inside: whether the minus stands
    behind the prefix.
    Raises `ValueError` for what is none of these.
    """

    places: int = 0
    padded: int = 0
    significant: int = 0
    scientific: bool = False
    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""
    negative: str = NEGATIVES[0]
    inside: bool = False

    def __post_init__(self) -> None:
        counts, texts = (self.places, self.padded, self.significant), (self.prefix, self.suffix)
        if not all(type(n) is int and 0 <= n <= LONGEST for n in counts) or not all(
            isinstance(each, str) for each in texts
        ):
            raise ValueError(f"digits {counts} and affixes {texts} of a number")
        if (self.decimal, self.thousands) not in MARKS or self.negative not in NEGATIVES:
            raise ValueError(f"marks {self.decimal!r}, {self.thousands!r}, {self.negative!r} of a number")

    @property
    def step(self) -> float:
        """The least difference of two cells; 0 where there is none."""
        return 0.0 if self.significant else 10.0**-self.places

    noun = "number"

    @property
    def example(self) -> str:
        return self.write(np.array([1234.5]))[0]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Groups: what of a sign stands before the prefix, before the digits, the digits, and behind the suffix."""
        mark, digits = re.escape(self.decimal), "0|[1-9][0-9]*"
        if self.thousands:
            digits += f"|[1-9][0-9]{{0,2}}(?:{re.escape(self.thousands)}[0-9]{{3}})+"
        digits = rf"(?:(?:{digits})(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|Infinity"
        prefix, suffix = re.escape(self.prefix), re.escape(self.suffix)
        return re.compile(rf"([({SIGNS}]?){prefix}([({SIGNS}]?)({digits}){suffix}([)-]?)")

    def _plain(self, cell: str | None) -> str | None:
        """The cell as Python writes numbers; None for one that is missing or not of this form."""
        found = self._pattern.fullmatch(cell) if cell is not None else None
        if found is None:
            return None
        before, inside, digits, behind = found.groups()
        if self.thousands:
            digits = digits.replace(self.thousands, "")
        digits = digits.replace(self.decimal, ".")
        if (sign := before + inside + behind) in ("", "+"):
            return digits
        return f"-{digits}" if sign in ("-", MINUS, "()") else None

    def parse(self, cells: Sequence[str | None]) -> np.ndarray:
        """The values of n cells `[n]` in double precision, NaN where they are missing or not of this form."""
        value = {cell: float(self._plain(cell) or "nan") for cell in set(cells)}
        return np.array([value[cell] for cell in cells], dtype=np.float64)

    def write(self, values: np.ndarray) -> list[str]:
        """The cells of values `[n]`, none of them missing."""
        return [self._cell(value) for value in values.tolist()]

    def _cell(self, value: float) -> str:
        if self.significant:
            text = f"{abs(value):.{self.significant}g}" if self.significant <= DIGITS else repr(abs(value))
            text = f"{abs(value):.{self.significant - 1}e}" if self.scientific else text
        else:
            value = round(value, self.places)
            text = f"{abs(value):{',' if self.thousands else ''}.{max(self.places, self.padded)}f}"
            if optional := max(0, self.places - self.padded):
                text = text[:-optional] + text[-optional:].rstrip("0")
        text = text.removesuffix(".").translate({ord(","): self.thousands, ord("."): self.decimal}) + self.suffix
        if not value < 0:  # no minus before 0
            return self.prefix + text
        return self.prefix + self.negative.format(text) if self.inside else self.negative.format(self.prefix + text)

    @classmethod
    def candidates(cls, cells: Sequence[str]) -> list[Number]:
        """The forms that some of these cells may have, without their digits."""
        (prefix, suffix), _ = Counter(map(_affixes, cells[:: 1 + len(cells) // SAMPLE])).most_common(1)[0]
        if any(map(_is_code, cells)) or not _are_affixes(prefix, suffix, cells):
            return []
        there = set("".join(cells))
        marks = [(mark, group) for mark, group in MARKS if not group or group in there]
        marks = [(mark, group) for mark, group in marks if mark == "." or there & {mark, group}]
        return [cls(decimal=mark, thousands=group, prefix=prefix, suffix=suffix) for mark, group in marks]

    def completed(self, cells: Sequence[str]) -> Number:
        """With the digits and the minus that these cells have."""
        plain = [each for each in map(self._plain, cells) if each is not None]
        rest = [each.partition(".")[2] for each in plain if "e" not in each.lower()]
        powers = [each.lower() for each in plain if "e" in each.lower()]
        long = [each for each in plain if len(each) > DIGITS] if not powers else plain
        digits = max((len(re.sub("e.*|[^0-9]", "", each.lower()).lstrip("0")) for each in long), default=0)
        exact = digits > DIGITS and len({*map(len, rest)}) > 1 and max(map(len, rest)) > FINEST
        if len(powers) > len(rest) or exact or not all(float(each).is_integer() for each in powers):
            alike = len({len(each.lstrip("-").partition("e")[0]) for each in powers}) == 1
            form = replace(self, significant=min(digits, LONGEST), scientific=alike and not rest)
        else:  # a few like 1e+05 are how R writes 100000
            places = max(len(each.rstrip("0")) for each in rest)
            form = replace(self, places=min(places, LONGEST), padded=min(LONGEST, *map(len, rest)))
        for found in filter(None, map(self._pattern.fullmatch, cells)):
            before, inside, _, behind = found.groups()
            if minus := (before + inside + behind).strip("+"):
                negative = "({})" if minus == "()" else "{}-" if behind else f"{minus}{{}}"
                return replace(form, negative=negative, inside=bool(inside))
        return form


def _affixes(cell: str) -> tuple[str, str]:
    """What stands before the digits of a cell and behind them, less signs and marks."""
    before, *rest = RUN.split(cell)
    return before.translate(NO_SIGNS).rstrip(".,"), (rest or [""])[-1].translate(NO_SIGNS).lstrip(".,")


def _are_affixes(prefix: str, suffix: str, cells: Sequence[str]) -> bool:
    """Whether these are what stands around a number, a currency, a unit or a percent sign, and not a part of a code."""

    def is_currency(text: str) -> bool:
        return any(unicodedata.category(each) == "Sc" for each in text)

    word = re.fullmatch(r"[A-Za-z]{1,3}\.? ", prefix) and any("." in cell or "," in cell for cell in cells)
    unit = all(each.isalpha() or each in " \xa0%‰°/²³" or is_currency(each) for each in suffix)
    return (not prefix or is_currency(prefix) or bool(word)) and unit and max(len(prefix), len(suffix)) < 8


def _is_code(cell: str) -> bool:
    """Whether this number is a code, not a quantity."""
    plus, digits = cell.startswith("+"), cell.lstrip("+-")
    return digits.isdecimal() and len(digits) > (PHONE if plus else DIGITS)


@dataclass(frozen=True)
class Date:
    """Dates or times of one pattern, of DuckDB's strptime and strftime; values are seconds since 1970.

    Raises `ValueError` for any other text.
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
        """The least difference of two cells, in seconds."""
        return next(step for field, step in STEPS.items() if field in {*self.fields, ""})

    noun = "date"

    @property
    def example(self) -> str:
        return self.write(np.array([1735603200.0]))[0]

    def parse(self, cells: Sequence[str | None]) -> np.ndarray:
        """The values of n cells `[n]` in double precision, NaN where they are missing or not of this form."""
        texts = np.array([*dict.fromkeys(cells)], dtype=object)
        values = _query(SECONDS, texts, self.pattern)
        if (whole := FRACTION.sub("", self.pattern)) != self.pattern:  # whole seconds are often written without
            values = np.ma.where(np.ma.getmaskarray(values), _query(SECONDS, texts, whole), values)
        value = dict(zip(texts.tolist(), np.ma.filled(values, np.nan).tolist(), strict=True))
        return np.array([value[cell] for cell in cells], dtype=np.float64)

    def write(self, values: np.ndarray) -> list[str]:
        """The cells of values `[n]`, none of them missing."""
        seconds = np.clip(np.rint(values / self.step) * self.step, FIRST, LAST)
        micro = np.rint(seconds * 1e6).astype(np.int64)
        return _query("strftime(make_timestamp(column0), ?)", micro, self.pattern).tolist()

    @classmethod
    def candidates(cls, cells: Sequence[str], offsets: bool = False) -> list[Date]:
        """The forms that some of these cells may have, every number in two digits. offsets: of time zones, one a cell;
        or else all have that of the first.
        """
        samples = [cells[0], cells[len(cells) // 2], cells[-1]]
        patterns = [pattern for cell in samples for pattern in _patterns(cell, offsets)]
        return [cls(pattern) for pattern in dict.fromkeys(patterns)]

    def completed(self, cells: Sequence[str]) -> Date:
        """With a day and month, or an hour, of one digit where these cells have them."""
        shorter = [re.sub(fields, r"%-\1", self.pattern) for fields in ("%([dm])", "%([HI])", "%([dmHI])")]
        return max((self, *map(Date, shorter)), key=lambda form: agreement(form, cells))


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


Form = Number | Date


def readings(cells: Sequence[str]) -> list[Form]:
    """The forms that all of these different cells, in the order of the file, may have; the likeliest first.

    There are two numbers where a comma or a point may be the decimal mark or stand between thousands (the first has the
    point for its mark), and two dates where the day or the month may be first (the first is in order of time, in steps
    alike, or has more months).
    """

    def reading(forms: Sequence[Form]) -> dict[bytes, list[Form]]:
        """Those that read all of the cells, by the values that they find."""
        found: dict[bytes, list[Form]] = {}
        for form in forms:
            if not np.isnan(form.parse(cells[:1])).any() and not np.isnan(values := form.parse(cells)).any():
                found.setdefault(values.tobytes(), []).append(form)
        return found

    def evidence(values: bytes) -> tuple[bool, bool, int]:
        steps, months = np.diff(np.frombuffer(values)), _calendar(values, "M") % 12
        ordered = bool((steps > 0).all() or (steps < 0).all())
        even = ordered and bool(np.abs(steps).max(initial=0) < 2 * np.abs(steps).min(initial=np.inf))
        return ordered, even, len(np.unique(months))

    numbers = [forms[0].completed(cells) for forms in reading(Number.candidates(cells)).values()]
    numbers.sort(key=lambda form: isinstance(form, Number) and form.decimal == ",")
    if numbers and len(cells[0]) not in RUNS:
        return numbers
    found = reading(Date.candidates(cells)) or reading(Date.candidates(cells, offsets=True))
    years = [_calendar(values, "Y") + 1970 for values in found]
    if numbers and any(each.min() < YEARS[0] or each.max() > YEARS[1] for each in years):
        return numbers
    ranked = [[form.completed(cells) for form in found[each]] for each in sorted(found, key=evidence, reverse=True)]
    return [*(max(forms, key=lambda form: agreement(form, cells)) for forms in ranked), *numbers]


def agreement(form: Form, cells: Sequence[str]) -> int:
    """How many of these cells the form writes as they are."""
    return sum(map(str.__eq__, form.write(np.nan_to_num(form.parse(cells))), cells))


def _calendar(values: bytes, unit: str) -> np.ndarray:
    """The months or years since 1970 of seconds."""
    return np.frombuffer(values).astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(int)


def nearly(cells: Sequence[str], share: float) -> Form | None:
    """The form of the first of these different cells that has one, where at least this fraction of them have one."""
    for kind in (Number, Date):
        forms: Sequence[Form] = kind.candidates(cells)
        reads = np.array([~np.isnan(form.parse(cells)) for form in forms])
        if len(forms) and reads.any(0).mean() >= share:
            return forms[int(reads[:, reads.any(0).argmax()].argmax())].completed(cells)
    return None


def doubtful(cells: Sequence[str], forms: Sequence[Form]) -> str:
    """What may be meant otherwise by different cells, of `readings` forms; empty where nothing may."""
    pair = [form for form in forms if type(form) is type(forms[0])][:2]
    if len(pair) < 2:
        return ""
    if isinstance(pair[0], Number) and (pair[0].decimal, pair[0].thousands) == (".", ""):
        return ""  # a point is one
    values = [form.parse(cells) for form in pair]
    place = int((values[0] != values[1]).argmax())
    plain = Number(significant=DIGITS) if isinstance(pair[0], Number) else Date("%Y-%m-%d")
    first, other = (plain.write(each[place : place + 1])[0] for each in values)
    return f"{cells[place]} is read as {first}, and may be {other}"


def are_codes(cells: Sequence[str]) -> bool:
    """Whether these cells, which are not numbers, are made of digits all the same."""
    return all(re.fullmatch(r"\+?[\d_]+", cell) for cell in cells)


def is_pattern(text: str) -> bool:
    """Whether this is a pattern of dates."""
    with suppress(ValueError):
        return "%" in text and bool(Date(text))
    return False


def form_of(fields: Form | Mapping[str, Any]) -> Form:
    """The form that a run's configuration holds. Raises `TypeError` or `ValueError` for anything else."""
    if isinstance(fields, Number | Date):
        return fields
    return Date(**fields) if "pattern" in fields else Number(**fields)
