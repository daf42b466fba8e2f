"""Which forms the cells of a column may have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from vaekit.written.date import RUNS, YEARS, Date
from vaekit.written.number import DIGITS, Number

CERTAIN = 12  # number of different digits without marks that are not by chance dates with the year last, or short
Form = Number | Date
F = TypeVar("F", Number, Date)


def readings(cells: Sequence[str]) -> list[Form]:
    """The forms that all cells of a column may have, the likeliest first.

    There are two numbers where a comma or a point may be the decimal mark or stand between thousands (the first has the
    point as its mark), and two dates where the day or the month may be first (the first is in order of time, in equal
    steps, or has more months).

    Args:
        cells: Different cells, in the order of the file.

    Example:
        >>> from vaekit.written import readings
        >>> [form.pattern for form in readings(["2024-01-31", "2024-02-29"])]
        ['%Y-%m-%d']
    """

    def reading(forms: Sequence[F]) -> dict[bytes, list[F]]:
        """Those that read all of the cells, by the values that they find."""
        found: dict[bytes, list[F]] = {}
        for form in forms:
            if not np.isnan(form.parse(cells[:1])).any() and not np.isnan(values := form.parse(cells)).any():
                found.setdefault(values.tobytes(), []).append(form)
        return found

    def evidence(values: bytes) -> tuple[bool, bool, int]:
        steps, months = np.diff(np.frombuffer(values)), _calendar(values, "M") % 12
        ordered = bool((steps > 0).all() or (steps < 0).all())
        even = ordered and bool(np.abs(steps).max(initial=0) < 2 * np.abs(steps).min(initial=np.inf))
        return ordered, even, len(np.unique(months))

    def is_plausible(values: bytes, forms: Sequence[Date]) -> bool:
        """Whether digits without marks are dates of these forms, and not numbers or codes."""
        years, usual = _calendar(values, "Y") + 1970, any(form.pattern.startswith("%Y") for form in forms)
        return bool((usual or len(cells) >= CERTAIN) and years.min() >= YEARS[0] and years.max() <= YEARS[1])

    numbers: list[Form] = [forms[0].completed(cells) for forms in reading(Number.candidates(cells)).values()]
    numbers.sort(key=lambda form: isinstance(form, Number) and form.decimal == ",")
    is_run = cells[0].isdecimal()
    if numbers and not (is_run and len(cells[0]) in RUNS):
        return numbers
    found = reading(Date.candidates(cells)) or reading(Date.candidates(cells, offsets=True))
    if is_run:
        found = {values: forms for values, forms in found.items() if is_plausible(values, forms)}
    ranked = [[form.completed(cells) for form in found[each]] for each in sorted(found, key=evidence, reverse=True)]
    return [*(max(forms, key=lambda form: form.agreement(cells)) for forms in ranked), *numbers]


def _calendar(values: bytes, unit: str) -> np.ndarray:
    """The months or years since 1970 of seconds."""
    return np.frombuffer(values).astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(int)


def nearly(cells: Sequence[str], fraction: float) -> Form | None:
    """The form that nearly all cells have; None if no form has enough cells.

    Args:
        cells: Different cells.
        fraction: The least fraction of the cells that has a form.
    """
    for kind in (Number, Date):
        forms: Sequence[Form] = kind.candidates(cells)
        reads = np.array([~np.isnan(form.parse(cells)) for form in forms])
        if len(forms) and reads.any(0).mean() >= fraction:
            return forms[int(reads[:, reads.any(0).argmax()].argmax())].completed(cells)
    return None


def doubtful(cells: Sequence[str], forms: Sequence[Form]) -> str:
    """A sentence about another possible meaning of the cells; empty if there is none.

    Args:
        cells: Different cells.
        forms: Their `readings`.
    """
    pair = [form for form in forms if type(form) is type(forms[0])][:2]
    if len(pair) < 2:
        return ""
    if isinstance(pair[0], Number) and (pair[0].decimal, pair[0].thousands) == (".", ""):
        return ""  # a point is a decimal mark
    values = [form.parse(cells) for form in pair]
    place = int((values[0] != values[1]).argmax())
    plain = Number(significant=DIGITS) if isinstance(pair[0], Number) else Date("%Y-%m-%d")
    first, other = (plain.write(each[place : place + 1])[0] for each in values)
    return f"{cells[place]} is read as {first}, but may mean {other}"


def are_codes(cells: Sequence[str]) -> bool:
    """Whether cells that are not numbers consist of digits, as phone numbers and ZIP codes do.

    Args:
        cells: Different cells.
    """
    return all(re.fullmatch(r"\+?[\d_]+", cell) for cell in cells)


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern of dates.

    Args:
        text: E.g. `%d/%m/%Y`.
    """
    with suppress(ValueError):
        return "%" in text and bool(Date(text))
    return False


def form_of(fields: Form | Mapping[str, Any]) -> Form:
    """The form that a run's configuration holds. Anything else raises `TypeError` or `ValueError`.

    Args:
        fields: The fields of a `Number` or `Date` by name, or one of these.
    """
    if isinstance(fields, Number | Date):
        return fields
    return Date(**fields) if "pattern" in fields else Number(**fields)
