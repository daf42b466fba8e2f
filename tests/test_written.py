"""How cells are written: forms are recognized, read to exact values, and written back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaekit.in_memory.frames import _types
from vaekit.spaces import Table
from vaekit.spaces.column import Column
from vaekit.written import MARKS, NEGATIVES, Date, Number, doubtful, form_of, nearly, readings

NUMBERS = [
    (["1", "2", "1e+05"], [1, 2, 100_000], ["1", "2", "100000"]),
    (["1.5e-07", "0.001"], [1.5e-07, 0.001], None),
    (["42.0", "7.0"], [42, 7], None),
    (["30", "30.25"], [30, 30.25], None),
    (["30.0", "30.25"], [30, 30.25], None),
    (["30.10", "2.00"], [30.1, 2], None),
    (["$1,234.50", "-$3.00"], [1234.5, -3], None),
    (["$1,234.50", "$-3.00"], [1234.5, -3], None),
    (["($1,234.50)", "$3.00"], [-1234.5, 3], None),
    (["R$ 5,5", "R$ 12,0"], [5.5, 12], None),
    (["EUR 12.50", "EUR 1,200.00"], [12.5, 1200], None),
    (["12.5%", "3%"], [12.5, 3], None),
    (["12,5 %", "3,0 %"], [12.5, 3], None),
    (["1'234", "5"], [1234, 5], None),
    (["1 234,5", "5,0"], [1234.5, 5], None),
    (["1.234,50", "3,20"], [1234.5, 3.2], None),
    (["108,33", "106,39"], [108.33, 106.39], None),
    (["12 kg", "7 kg"], [12, 7], None),
    (["(12.50)", "3.25"], [-12.5, 3.25], None),
    (["5-", "4"], [-5, 4], None),
    (["\u22123", "4"], [-3, 4], None),
    (["+1.5", "-2.0", "0.0"], [1.5, -2, 0], None),
    (["+1.5", "2.5"], [1.5, 2.5], ["1.5", "2.5"]),
    (["$+1.50", "$-2.00"], [1.5, -2], None),
    ([".083", "-.5", "1."], [0.083, -0.5, 1], [".083", "-.5", "1"]),
    (["5.67E+00", "-1.20E-03"], [5.67, -0.0012], None),
    (["\u20133.5", "4.0"], [-3.5, 4], None),
    (["12\u2009345.5", "1.0"], [12345.5, 1], None),
    (["\u20b912,34,567.50", "\u20b91,234.00", "\u20b9999.00"], [1234567.5, 1234, 999], None),
    (["EUR569.97", "-EUR12.50"], [569.97, -12.5], None),
    (["Rs.1,23,456", "Rs.999"], [123456, 999], None),
    (["0.30000000000000004", "0.1"], [0.30000000000000004, 0.1], None),
    (["61234567890123.45", "0.5"], [61234567890123.45, 0.5], None),
    (["-147.52207373757932", "8.10000000000000"], [-147.52207373757932, 8.1], None),
    (["5.67e+00", "-1.20e-03"], [5.67, -0.0012], None),
    (["1.500000000000000000e+00", "2.000000000000000000e+00"], [1.5, 2], None),
]
DATES = [
    (["2020-01-31", "2020-12-01"], ["2020-01-31", "2020-12-01"], None),
    (["20220629", "20210813", "20210205"], ["2022-06-29", "2021-08-13", "2021-02-05"], None),
    (["29/06/2022", "01/02/2020"], ["2022-06-29", "2020-02-01"], None),
    (["06/29/2022", "01/02/2020"], ["2022-06-29", "2020-01-02"], None),
    (["05-Jan-2020", "17-Dec-2019"], ["2020-01-05", "2019-12-17"], None),
    (["Mar 10, 2020", "Apr 09, 2020"], ["2020-03-10", "2020-04-09"], None),
    (["March 1, 2020", "May 12, 2020"], ["2020-03-01", "2020-05-12"], None),
    (["Mon, 09 Mar 2020", "Tue, 10 Mar 2020"], ["2020-03-09", "2020-03-10"], None),
    (["1.2.2020", "31.12.2020"], ["2020-02-01", "2020-12-31"], None),
    (["2020-05", "2021-12"], ["2020-05-01", "2021-12-01"], None),
    (["05-JAN-2020", "17-DEC-2019"], ["2020-01-05", "2019-12-17"], None),
    (["5may2020", "17dec2019"], ["2020-05-05", "2019-12-17"], None),
    (["Mon Aug 29 07:37:43 2022", "Fri Sep 02 10:00:01 2022"], ["2022-08-29T07:37:43", "2022-09-02T10:00:01"], None),
    (
        ["[29/Aug/2022:07:37:43 +0000]", "[02/Sep/2022:10:00:01 +0000]"],
        ["2022-08-29T07:37:43", "2022-09-02T10:00:01"],
        None,
    ),
    (["07:37 29/08/2022", "17:05 02/09/2022"], ["2022-08-29T07:37", "2022-09-02T17:05"], None),
    (["29.08.2022 07.37", "02.09.2022 17.05"], ["2022-08-29T07:37", "2022-09-02T17:05"], None),
    (["29.08.2022 07:37 Uhr", "02.09.2022 17:05 Uhr"], ["2022-08-29T07:37", "2022-09-02T17:05"], None),
    (["20220829T073743Z", "20220902T100001Z"], ["2022-08-29T07:37:43", "2022-09-02T10:00:01"], None),
    (
        ["2022-08-29 07:37:43,125", "2022-09-02 10:00:01,500"],
        ["2022-08-29T07:37:43.125", "2022-09-02T10:00:01.5"],
        None,
    ),
    (["2022-08-29 07", "2022-09-02 17"], ["2022-08-29T07", "2022-09-02T17"], None),
    (["2020\u5e743\u670815\u65e5", "2020\u5e7412\u67085\u65e5"], ["2020-03-15", "2020-12-05"], None),
    (["2020-W01", "2020-W53"], ["2019-12-30", "2020-12-28"], None),
    (["2020-W01-7", "2020-W53-1"], ["2020-01-05", "2020-12-28"], None),
    ([f"9303{day}" for day in range(10, 30)], [f"1993-03-{day}" for day in range(10, 30)], None),
    ([f"{day:02}091993" for day in range(1, 30)], [f"1993-09-{day:02}" for day in range(1, 30)], None),
    (["0900-01-02", "0999-12-31"], ["0900-01-02", "0999-12-31"], None),
    (["10:30", "9:05"], ["1900-01-01T10:30", "1900-01-01T09:05"], None),
    (["1/2/2020 9:05 AM", "12/13/2020 11:15 PM"], ["2020-01-02T09:05", "2020-12-13T23:15"], None),
    (
        ["2020-01-01 10:00:00.123", "2020-01-01 10:00:01.500"],
        ["2020-01-01T10:00:00.123", "2020-01-01T10:00:01.5"],
        None,
    ),
    (["2020-01-01T10:00:00Z", "2020-01-02T00:00:00Z"], ["2020-01-01T10:00", "2020-01-02"], None),
    (["2020-01-01 10:00+01:00", "2020-01-02 00:00+01:00"], ["2020-01-01T10:00", "2020-01-02"], None),
    (
        ["2020-01-01 10:00:00+01", "2020-07-01 10:00:00+02"],
        ["2020-01-01T09:00", "2020-07-01T08:00"],
        ["2020-01-01 09:00:00+00", "2020-07-01 08:00:00+00"],
    ),
]


@pytest.mark.parametrize(("cells", "values", "written"), NUMBERS, ids=lambda each: str(each)[:30])
def test_numbers_are_read_and_written_as_they_stand(cells, values, written):
    form = readings(cells)[0]
    assert isinstance(form, Number) and form.parse([*cells, None])[:-1].tolist() == values
    assert form.write(np.array(values, float)) == (written or cells)


@pytest.mark.parametrize(("cells", "times", "written"), DATES, ids=lambda each: str(each)[:30])
def test_dates_are_read_and_written_as_they_stand(cells, times, written):
    form = readings(cells)[0]
    seconds = np.array(times, "datetime64[ms]").astype(float) / 1000
    assert isinstance(form, Date)
    np.testing.assert_allclose(form.parse(cells), seconds, rtol=0, atol=1e-6)
    assert form.write(seconds) == (written or cells)


CODES = ["0123 12", "15_33 1533", "\u0661\u0662 3", "+491701234567", "12345678901234567890 1", "A1 A2", "id-1 id-2"]
CODES += ["10.0.0.1 10.0.0.2", "Ulm Bonn", "1,2,3", "--5", "0x1F", "24:61", "-", "(5", "5)", "-(5)", "007 1.5"]


@pytest.mark.parametrize("cells", [each.split() for each in CODES], ids=CODES)
def test_codes_are_text(cells):
    assert readings(cells) == []


def test_the_order_of_day_and_month_is_inferred_from_the_column():
    firsts = [f"01/{month:02}/2020" for month in range(1, 13)]
    assert [form.pattern for form in readings(firsts)] == ["%d/%m/%Y", "%m/%d/%Y"]
    days = [f"01/{day:02}/2020" for day in range(1, 14)]
    assert [form.pattern for form in readings(days)] == ["%m/%d/%Y"]
    ordered = ["01/11/2020", "01/12/2020", "02/01/2020"]  # of two days in January and one in February: in order
    assert readings(ordered)[0].pattern == "%m/%d/%Y"
    hours = [f"01/{day:02}/2020 {hour:02}:00" for day in range(1, 13) for hour in range(24)]
    assert readings(hours)[0].pattern == "%m/%d/%Y %H:%M", "an hour apart, rather than now and then a month"
    assert doubtful(firsts, readings(firsts)) == "01/02/2020 is read as 2020-02-01, but may mean 2020-01-02"
    assert doubtful(days, readings(days)) == ""


def test_a_comma_before_three_digits_is_ambiguous():
    forms = readings(["1,234", "5,600"])
    assert [form.parse(["1,234"])[0] for form in forms] == [1234, 1.234]
    assert doubtful(["1,234"], forms) == "1,234 is read as 1234, but may mean 1.234"
    assert doubtful(["1.234"], readings(["1.234", "5.600"])) == "", "a point is one"
    assert len(readings(["1,234", "1,234,567"])) == len(readings(["1,234", "0,5"])) == 1


def test_the_form_of_nearly_all_cells():
    cells = [f"{n}.5" for n in range(40)]
    assert nearly([*cells, "x"], 0.95) == readings(cells)[0] and nearly([*cells, *"abcdef"], 0.95) is None
    dates = [f"2020-01-{day:02}" for day in range(1, 31)]
    assert nearly([*dates, "2020-02-30"], 0.95) == Date("%Y-%m-%d")


def test_values_between_those_of_a_form_are_rounded_to_it():
    assert Number(0, 1).write(np.array([41.6, -0.2])) == ["42.0", "0.0"]
    assert Date("%H:%M").write(Date("%H:%M").parse(["10:30"]) + 29) == ["10:30"]
    assert Date("%d.%m.%Y").write(np.array([-1e300, 1e300])) == ["01.01.0001", "31.12.9999"]


WRONG = [
    {"places": -1},
    {"places": "1"},
    {"decimal": ";"},
    {"negative": "{0.__class__}"},
    {"prefix": None},
    {"evil": 1},
]


@pytest.mark.parametrize("fields", [*WRONG, {"pattern": "%Q"}, {"pattern": 1}, {"pattern": "%Y", "places": 1}])
def test_invalid_forms_are_refused(fields):
    with pytest.raises((TypeError, ValueError)):
        form_of(fields)


forms = st.builds(
    lambda marks, **fields: Number(decimal=marks[0], thousands=marks[1], **fields),
    marks=st.sampled_from(MARKS),
    places=st.integers(0, 3),
    padded=st.integers(0, 3),
    prefix=st.sampled_from(["", "$", "US$", "€ "]),
    suffix=st.sampled_from(["", "%", " %", " kg"]),
    negative=st.sampled_from(NEGATIVES),
    inside=st.booleans(),
)


@settings(deadline=None, max_examples=200, database=None)
@given(forms, st.lists(st.floats(-1e7, 1e7), min_size=1, max_size=8))
def test_written_files_round_trip(form, values):
    cells = form.write(np.array(values))
    np.testing.assert_allclose(form.parse(cells), values, rtol=0, atol=0.51 * form.step)
    found = readings(list(dict.fromkeys(cells)))
    again = next(each for each in found if np.array_equal(each.parse(cells), form.parse(cells)))
    assert again.write(again.parse(cells)) == cells


@settings(deadline=None, max_examples=100, database=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6, unique=True))
def test_any_text_is_parsed_or_ignored(cells):
    for form in readings(cells):
        values = form.parse(cells)
        finite = np.isfinite(values)
        np.testing.assert_allclose(form.parse(form.write(values[finite])), values[finite], rtol=1e-9)


def test_the_digits_of_a_form_are_limited():
    cells = ["9" * 404, "0." + "1" * 404, "1.5"]
    for some in (cells, cells[:1], cells[1:]):
        form = Number().completed(some)
        assert max(form.significant, form.places, form.padded) <= 340
        assert form.parse(form.write(np.array([2.0])))[0] == 2


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2", "3"], "int64"),
        (["1.50", "-2.00"], "float64"),
        (["42.0", "7.0"], "float64"),
        (["1.5e-07", "1e-3"], "float64"),
    ]
    + [
        ([each, each.replace("5", "7")], "string")
        for each in ("$1,234.55", "1,234.55", "1234,55", "(1.55)", "\u22121.55")
    ]
    + [(["1%", "2%"], "string")],
)
def test_tables_in_memory_have_numbers_where_programs_read_them(cells, kind):
    form = readings(cells)[0]
    column = Column.from_values("x", "real", form.parse(cells), form)
    assert _types(Table.of([column])) == {"x": kind}
