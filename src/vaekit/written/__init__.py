"""How the numbers or dates of a column are written: from the text of its cells to values, and back.

A cell is the text that the file holds, stripped, or None where it is missing. Codes (ZIP codes, phone numbers, `15_33`)
are neither: leading zeros, underscores, digits of other alphabets and more digits than a double holds are text.
"""

from vaekit.written.date import Date
from vaekit.written.number import MARKS, NEGATIVES, Number
from vaekit.written.reading import Form, are_codes, doubtful, form_of, is_pattern, nearly, readings

__all__ = [
    "MARKS",
    "NEGATIVES",
    "Date",
    "Form",
    "Number",
    "are_codes",
    "doubtful",
    "form_of",
    "is_pattern",
    "nearly",
    "readings",
]
