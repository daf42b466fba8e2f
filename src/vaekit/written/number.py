"""How numbers are written, in every cell of a column alike."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

MARKS = tuple((mark, group) for group in ("", *",.'\u2019 \xa0\u2009\u202f") for mark in ".," if mark != group)
"""Decimal mark and thousands separator, in the order in which they are tried."""
MINUSES = "\u2212\u2013-"  # the typographic minus, the dash and the hyphen
SIGNS = f"+{MINUSES}"  # in a class of a regular expression, the hyphen last
NEGATIVES = (*(f"{minus}{{}}" for minus in reversed(MINUSES)), "({})", "{}-")
LONGEST = 340  # largest number of digits
DIGITS = 15  # that a double holds exactly
FINEST = 9  # decimal places above which digits only serve to identify a double
PHONE = 8  # digits after a plus above which they are a phone number
SAMPLE = 1000  # number of cells that determine prefix and suffix of a column
RUN = re.compile("[0-9]+")
NO_SIGNS = str.maketrans("", "", f"{SIGNS}()")


@dataclass(frozen=True)
class Number:
    """Numbers written in one form: `-1,234.50`, `$12`, `12,5 %`, `(3.00)`, `42.0`, `1.5e-07`.

    Values that are none of these raise `ValueError`.

    Args:
        places: Decimal places to which values are rounded.
        padded: Decimal places that are always written, zeros included (`42.0`: places 0, padded 1).
        significant: Digits of a column of numbers like 1.5e-07; 0 for plain ones.
        scientific: Whether all of those have an exponent (`1.50e+00`).
        exponent: The letter before it, `e` or `E`.
        decimal: Decimal mark, `.` or `,`.
        thousands: Separator of groups of three digits; empty for none.
        lakh: Whether groups above the thousands have two digits, as in India (`12,34,567`).
        bare: Whether no zero stands before the decimal mark (`.5`).
        plus: Whether positive numbers have a plus (`+1.5`).
        prefix: Text at the start of each cell, e.g. a currency.
        suffix: Text at the end of each cell, e.g. a unit.
        negative: How negative numbers are written, one of `NEGATIVES`.
        inside: Whether the minus stands between prefix and digits.

    Example:
        >>> from vaekit.written import Number
        >>> Number(places=2, padded=2, thousands=",", prefix="$").write(np.array([1234.5]))
        ['$1,234.50']
    """

    places: int = 0
    padded: int = 0
    significant: int = 0
    scientific: bool = False
    exponent: str = "e"
    decimal: str = "."
    thousands: str = ""
    lakh: bool = False
    bare: bool = False
    plus: bool = False
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
        marks = (self.decimal, self.thousands, self.negative, self.exponent)
        if marks[:2] not in MARKS or self.negative not in NEGATIVES or self.exponent not in ("e", "E"):
            raise ValueError(f"marks {marks} of a number")

    @property
    def step(self) -> float:
        """The smallest difference of two cells; 0 if it is not known."""
        return 0.0 if self.significant else 10.0**-self.places

    @property
    def is_plain(self) -> bool:
        """Whether Python and libraries of tables read such cells as numbers."""
        with suppress(ValueError):
            return math.isfinite(float(self.write(np.array([-1234.5]))[0]))
        return False

    noun = "number"

    @property
    def example(self) -> str:
        return self.write(np.array([1234.5]))[0]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Groups: sign before the prefix, sign before the digits, digits, sign after the suffix."""
        mark, digits = re.escape(self.decimal), "0|[1-9][0-9]*"
        if self.thousands:
            group = re.escape(self.thousands)
            digits += f"|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|[1-9][0-9]?(?:{group}[0-9]{{2}})+{group}[0-9]{{3}}"
        digits = rf"(?:(?:{digits})(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|Infinity"
        prefix, suffix = re.escape(self.prefix), re.escape(self.suffix)
        return re.compile(rf"([({SIGNS}]?){prefix}([({SIGNS}]?)({digits}){suffix}([)-]?)")

    def _plain(self, cell: str | None) -> str | None:
        """The cell as Python writes numbers; None for one that is missing or not of this form."""
        found = self._pattern.fullmatch(cell) if cell is not None else None
        if found is None:
            return None
        before, inside, digits, after = found.groups()
        if self.thousands:
            digits = digits.replace(self.thousands, "")
        digits = digits.replace(self.decimal, ".")
        if (sign := before + inside + after) in ("", "+"):
            return digits
        return f"-{digits}" if sign in (*MINUSES, "()") else None

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
        text = text.removesuffix(".").replace("e", self.exponent)
        if self.lakh:
            whole, mark, rest = text.replace(",", "").partition(".")
            text = re.sub(r"(?<=\d)(?=(?:\d\d)*\d{3}$)", ",", whole) + mark + rest
        if self.bare:
            text = re.sub(r"^0\.", ".", text)
        text = text.translate({ord(","): self.thousands, ord("."): self.decimal}) + self.suffix
        signed = "+{}" if self.plus and value > 0 else self.negative if value < 0 else "{}"  # no minus before 0
        return self.prefix + signed.format(text) if self.inside else signed.format(self.prefix + text)

    @classmethod
    def candidates(cls, cells: Sequence[str]) -> list[Number]:
        """The forms that some of these cells may have, without their digits."""
        (prefix, suffix), _ = Counter(map(_affixes, cells[:: 1 + len(cells) // SAMPLE])).most_common(1)[0]
        if any(map(_is_code, cells)) or not _are_affixes(prefix, suffix, cells):
            return []
        characters = set("".join(cells))
        marks = [(mark, group) for mark, group in MARKS if not group or group in characters]
        marks = [(mark, group) for mark, group in marks if mark == "." or characters & {mark, group}]
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
        else:  # R writes 100000 as 1e+05
            places = max(len(each.rstrip("0")) for each in rest)
            form = replace(self, places=min(places, LONGEST), padded=min(LONGEST, *map(len, rest)))
        letters, group = {*"".join(plain)} & {*"eE"}, re.escape(self.thousands)
        digits_of = [each.lstrip("-") for each in plain]
        found = [each for each in map(self._pattern.fullmatch, cells) if each]
        signs = [(each[1] + each[2] + each[4], each) for each in found]
        minus = next((each for sign, each in signs if sign.strip("+")), None)
        plus = next((each for sign, each in signs if sign == "+"), None)
        if any(not sign and re.search("[1-9]", each[3]) for sign, each in signs):
            plus = None
        form = replace(
            form,
            exponent="E" if letters == {"E"} else "e",
            lakh=bool(group) and any(re.search(f"{group}[0-9]{{2}}{group}", cell) for cell in cells),
            bare=any(each[0] == "." for each in digits_of) and not any(each.startswith("0.") for each in digits_of),
            plus=plus is not None,
            inside=bool((minus or plus or ("", "", ""))[2]),
        )
        if minus is None:
            return form
        sign = (minus[1] + minus[2]).strip("+")
        return replace(form, negative="({})" if sign == "(" else "{}-" if minus[4] else f"{sign}{{}}")


def _affixes(cell: str) -> tuple[str, str]:
    """Text before and after the digits of a cell, without signs and marks."""
    before, *rest = RUN.split(cell)
    before = re.sub("(?<![A-Za-z])[.,]+$", "", before.translate(NO_SIGNS))  # of `$.50`, not of `Rs.50`
    return before, (rest or [""])[-1].translate(NO_SIGNS).lstrip(".,")


def _are_affixes(prefix: str, suffix: str, cells: Sequence[str]) -> bool:
    """Whether these belong to a number, such as a currency, a unit or a percent sign, and not to a code."""

    def is_currency(text: str) -> bool:
        return any(unicodedata.category(each) == "Sc" for each in text)

    word = re.fullmatch(r"[A-Za-z]{1,3}(?:\.| |\. )|[A-Z]{3}", prefix) and any(
        {*".,"} & {*cell.translate(NO_SIGNS).removeprefix(prefix)} for cell in cells
    )
    unit = all(each.isalpha() or each in " \xa0%‰°/²³" or is_currency(each) for each in suffix)
    return (not prefix or is_currency(prefix) or bool(word)) and unit and max(len(prefix), len(suffix)) < 8


def _is_code(cell: str) -> bool:
    """Whether this number is a code, not a quantity."""
    plus, digits = cell.startswith("+"), cell.lstrip("+-")
    return digits.isdecimal() and len(digits) > (PHONE if plus else DIGITS)
