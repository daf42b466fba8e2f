"""Series: windows split by time, what is standardized by what, and what is refused."""

import csv
import math
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import torch
import yaml

from helpers import build
from vaekit import run_files, runs
from vaekit.data.module import DataModule
from vaekit.data.series import Series
from vaekit.refusal import Refusal

STEPS = 200
RNG = np.random.default_rng(0)
PRICES = 100 * np.exp(np.cumsum(RNG.normal(0, [0.01, 0.03], (STEPS, 2)), 0))
DAYS = np.datetime_as_string(np.datetime64("2020-01-01") + np.arange(STEPS)).tolist()


def columns(**changed):
    """The cells of a file, by column."""
    a, b = ([f"{each:.6f}" for each in column] for column in PRICES.T)
    return {"day": DAYS, "a": a, "b": b, "venue": ["X"] * STEPS, **changed}


def save(folder, **changed):
    cells = {name: column for name, column in columns(**changed).items() if column is not None}
    path = folder / "prices.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(cells), *zip(*cells.values(), strict=True)])
    return path


def put(row, cell, name="a"):
    """A column with one cell changed; the first row is 1."""
    column = columns()[name]
    return {name: [*column[: row - 1], cell, *column[row:]]}


def all_x(data, part):
    batches = data.in_order(part)
    return batches.gather(batches.indices).x


def test_windows_are_the_log_returns_of_consecutive_days(tmp_path):
    source = Series(save(tmp_path), window=10)
    assert source.space.names == ("a", "b") and source.space.shape == (2, 10) and source.space.returns
    x = source.load("train").x[torch.tensor([0, 7])]
    expected = np.diff(np.log(PRICES), axis=0)[7:17].T
    torch.testing.assert_close(source.space.restore(x)[1], torch.from_numpy(expected), atol=1e-6, rtol=1e-4)
    levels = Series(tmp_path / "prices.csv", window=10, values="levels")
    x = levels.space.restore(levels.load("train").x[torch.tensor([7])])[0]
    torch.testing.assert_close(x, torch.from_numpy(PRICES[7:17].T), atol=1e-4, rtol=1e-5)


def test_parts_share_no_time_step(tmp_path):
    path = save(tmp_path, **{"a": [str(10 + step) for step in range(STEPS)], "b": None})
    data = DataModule(Series(path, window=10, values="levels", validation=0.2, test=50))
    days = {part: data.source.space.restore(all_x(data, part)).round() - 10 for part in ("train", "val", "test")}
    seen = {part: (int(each.min()), int(each.max())) for part, each in days.items()}
    assert seen == {"train": (0, 109), "val": (110, 149), "test": (150, 199)}
    assert len(days["train"]) == 101 and len(days["val"]) == 31 and len(days["test"]) == 41


def test_the_future_does_not_change_what_training_sees(tmp_path):
    now = Series(save(tmp_path), window=10)
    before, space = now.load("train").x[torch.arange(50)], now.space
    later = columns()["b"][:140] + ["5", "900"] * 30
    changed = Series(save(tmp_path, b=later), window=10)
    assert changed.space == space
    assert torch.equal(changed.load("train").x[torch.arange(50)], before)
    x = np.diff(np.log(PRICES), axis=0)[:139]
    np.testing.assert_allclose(space.mean, x.mean(0), atol=1e-7)
    np.testing.assert_allclose(space.deviation, x.std(0), rtol=1e-5)


def test_a_stride_skips_windows(tmp_path):
    data = DataModule(Series(save(tmp_path), window=10, stride=10))
    assert [len(data.in_order(part).indices) for part in ("train", "val", "test")] == [13, 2, 4]


def test_missing_prices_are_the_mask_of_both_returns(tmp_path):
    rows = Series(save(tmp_path, **put(6, "NA")), window=10).load("train")
    assert (rows.mask[0] == [[True] * 4 + [False] * 2 + [True] * 4, [True] * 10]).all()
    assert (rows.x[torch.tensor([0])][0, 0, 4:6] == 0).all()
    assert rows.mask[6:, :, :].all()
    levels = Series(tmp_path / "prices.csv", window=10, values="levels").load("train")
    assert (~levels.mask[0]).sum() == 1


def test_a_run_keeps_the_space_exactly(tmp_path):
    space = Series(save(tmp_path), window=10).space
    assert runs.read_space(yaml.load(run_files.describe({}, space), runs._Loader)) == space


@pytest.mark.parametrize(
    ("changed", "options", "words"),
    [
        ({}, {"window": 300}, "prices.csv has 199 returns.*data.window=300.*use a shorter window"),
        ({}, {"window": 30, "validation": 0.2, "test": 0.1}, "test gets 20.*data.window=30"),
        ({}, {"window": 1}, "data.window=1"),
        ({}, {"stride": 0}, "data.stride=0"),
        ({}, {"values": "logs"}, "use data.values=returns"),
        ({}, {"columns": ["c"]}, "no column 'c'; it has day, a, b, venue"),
        ({}, {"columns": ["venue"]}, "line 2, column 'venue': got 'X', expected a number"),
        ({"day": [*DAYS[:9], DAYS[3], *DAYS[10:]]}, {}, "line 11, column 'day': 2020-01-04 comes after 2020-01-09"),
        ({"day": [*DAYS[:9], DAYS[8], *DAYS[10:]]}, {}, "line 11, column 'day'"),
        ({"day": [*DAYS[:9], "soon", *DAYS[10:]]}, {}, "line 11, column 'day': got 'soon', expected a date"),
        (put(12, "0"), {}, "prices.csv, line 13, column 'a': got the price 0.*data.values=levels"),
        (put(12, "-3"), {}, r"line 13, column 'a': got the price -3.*data.values=levels or 'data.columns=\[b\]'\."),
        (put(12, "inf"), {}, "line 13, column 'a': got inf, expected a finite"),
        (put(12, "1,5"), {}, "line 13, column 'a': got '1,5', expected a number"),
        ({"a": [""] * STEPS}, {}, r"every cell of column 'a' is missing; leave it out, by 'data.columns=\[b\]'"),
        (
            dict.fromkeys(("day", "a", "b", "venue")) | {"2019-12-31": DAYS, "1.5": [str(2 + i) for i in range(STEPS)]},
            {},
            "holds the number 1.5, .*; add one to the file",
        ),
        ({"a": None, "b": None}, {}, "no numeric column; its columns are day, venue"),
        ({"a": ["7"] * STEPS}, {}, r"'a' is constant before .*; leave it out, by 'data.columns=\[b\]'\.$"),
        ({"a": ["7"] * STEPS, "b": ["8"] * STEPS}, {}, r"'a' is constant before .*; name another file\.$"),
        ({"a": [""] * 190 + ["7"] * 10}, {}, "'a' has fewer than two values"),
    ],
)
def test_invalid_series_are_refused_with_their_line(tmp_path, changed, options, words):
    with pytest.raises(Refusal, match=words):
        _ = Series(save(tmp_path, **changed), **{"window": 10, **options}).space


def test_no_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"data.path=prices.csv"):
        Series(None)
    with pytest.raises(Refusal, match="There is no file"):
        _ = Series(tmp_path / "none.csv").space


def test_numbers_may_be_times(tmp_path):
    path = save(tmp_path, day=[str(step / 2) for step in range(STEPS)])
    assert Series(path, time="day", window=10).space.names == ("a", "b")
    assert math.isclose(Series(path, values="levels", window=10).space.mean[0], 34.75)


def test_dates_without_separators_are_times_and_numbers_are_not(tmp_path):
    compact = [day.replace("-", "") for day in DAYS]
    source = Series(save(tmp_path, day=compact), window=10)
    assert source.space.names == ("a", "b") and source.table.times == compact[1:]
    numbers = Series(save(tmp_path, day=["30071399", *compact[1:]]), window=10)
    assert numbers.space.names == ("day", "a", "b")


def test_series_with_missing_prices_train_with_a_likelihood_of_each_value(tmp_path):
    source = Series(save(tmp_path, **put(6, "NA")), window=10)
    batches = DataModule(source).in_order("train")
    batch = batches.gather(batches.indices[:3])
    small = ("model=series_vae", "network.width=4", "network.features=8")
    vae, _ = build(source.space, *small, "likelihood=student", "likelihood.scale=pixel")
    log_px = vae(batch).log_px
    assert torch.isfinite(log_px).all() and log_px.shape == (1, 3)
    log_px.sum().backward()
    assert (vae.likelihood.bias.grad[0, 0].abs() > 0).all(), "each step is seen in one of the windows"
    with pytest.raises(Refusal, match=r"Some values are missing.*Train with likelihood=gaussian or likelihood=laplace"):
        build(source.space, *small, "likelihood=multivariate_student")
    whole = replace(source.space, incomplete=False)  # as of a run on whole rows, whose task gets a file with holes
    with pytest.raises(Refusal, match="Some values are missing"):
        build(whole, *small, "likelihood=multivariate_student")[0](batch)


# Files as exchanges and spreadsheets write them -----------------------------------------------------------------------

RETURNS = np.diff(np.log(PRICES), axis=0)


@pytest.mark.parametrize(
    "form", ["%b %d, %Y", "%d/%m/%Y", "%d-%b-%Y", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]
)
def test_the_newest_first_is_taken_in_the_order_of_time(tmp_path, caplog, form):
    days = [datetime.fromisoformat(day).strftime(form) for day in DAYS]
    turned = {name: cells[::-1] for name, cells in columns(day=days).items()}
    table = Series(save(tmp_path, **turned), window=10).table
    np.testing.assert_allclose(table.values, RETURNS.T, atol=1e-6)
    assert table.times == days[1:] and "'day' has the newest row first" in caplog.text


WEEKS = [f"{2020 + step // 52}-W{1 + step % 52:02}" for step in range(STEPS)]
QUARTERS = [f"{1980 + step // 4} Q{1 + step % 4}" for step in range(STEPS)]
NUMBERS = [str(1_577_836_800 + 3600 * step) for step in range(STEPS)]
TIMES = {"weeks": WEEKS, "quarters": QUARTERS, "seconds": NUMBERS, "days": [f"day {step}" for step in range(STEPS)]}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES.keys())
def test_times_that_are_no_dates_are_taken_in_their_order(tmp_path, caplog, times):
    backwards = {name: cells[::-1] for name, cells in columns(day=times).items()}
    for changed in (columns(day=times), backwards):
        table = Series(save(tmp_path, **changed), window=10).table
        assert table.names == ["a", "b"] and table.times == times[1:]
        np.testing.assert_allclose(table.values, RETURNS.T, atol=1e-6)
    assert "newest row first" in caplog.text


def test_times_in_no_known_order_are_refused(tmp_path):
    days = [f"{1 + step % 28}. Mai {2000 + step // 28}" for step in range(STEPS)][::-1]
    with pytest.raises(Refusal, match=r"'day': got '4\. Mai 2007', expected a date like .* or delete the column if"):
        _ = Series(save(tmp_path, day=days), window=10, columns=["a"]).table


def test_a_nameless_column_of_dates_is_the_time(tmp_path):
    path = save(tmp_path, **{name: cells[::-1] for name, cells in columns().items()})
    path.write_text(path.read_text().removeprefix("day"))
    table = Series(path, window=10).table
    assert table.names == ["a", "b"] and table.times == DAYS[1:]
    np.testing.assert_allclose(table.values, RETURNS.T, atol=1e-6)


def test_days_and_times_of_day_in_two_columns_are_joined(tmp_path):
    when = {"day": [DAYS[step // 4] for step in range(STEPS)], "at": [f"{9 + step % 4}:30" for step in range(STEPS)]}
    path = save(tmp_path, **when)
    table = Series(path, window=10).table
    assert table.names == ["a", "b"] and table.times[:4] == [
        f"{DAYS[step // 4]} {9 + step % 4}:30" for step in range(1, 5)
    ]
    np.testing.assert_allclose(table.values, RETURNS.T, atol=1e-6)
    assert Series(path, window=10, time="day").table.times == table.times
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    path.write_text("\n".join(",".join([row[4], *row[:4]]) for row in [header, *rows]))
    assert Series(path, window=10).table.times == table.times, "whichever stands first"


@pytest.mark.parametrize("names", [("Year", "Month"), ("year", "MONTH", "day"), ("day", "hour")])
def test_years_months_and_hours_in_columns_of_their_own_are_the_time(tmp_path, names):
    start, unit = np.datetime64("2020-01-01T00"), {"month": "M", "day": "D", "hour": "h"}[names[-1].lower()]
    times = (start.astype(f"datetime64[{unit}]") + np.arange(STEPS)).astype("datetime64[h]").tolist()
    when = {name: [str(getattr(time, name.lower())) for time in times] for name in names}
    if names[0] == "day":
        when["day"] = [str(time.date()) for time in times]
    path = save(tmp_path, **({"day": None} | when))
    table = Series(path, window=10).table
    assert table.names == ["a", "b"] and table.times[0] == " ".join(column[1] for column in when.values())
    np.testing.assert_allclose(table.values, RETURNS.T, atol=1e-6)


def test_columns_that_are_not_numbers_are_named(tmp_path, caplog):
    volumes = [f"1.{step}{'KM'[step % 2]}" for step in range(STEPS)]
    assert Series(save(tmp_path, venue=volumes), window=10).table.names == ["a", "b"]
    assert "columns that are not numbers are left out: 'venue' (1.0K)." in caplog.text


def test_prices_in_dollars_are_prices(tmp_path):
    prices = {name: [f"${1000 * float(cell):,.4f}" for cell in columns()[name]] for name in "ab"}
    table = Series(save(tmp_path, **prices), window=10).table
    assert table.names == ["a", "b"]
    np.testing.assert_allclose(table.values, RETURNS.T, atol=1e-6)


def test_of_open_high_low_and_close_only_the_close_is_used(tmp_path, caplog):
    bars = {"Open": columns()["a"], "High": columns()["a"], "Low": columns()["a"], "Close": columns()["b"]}
    path = save(tmp_path, a=None, b=None, **bars, Volume=["0"] * STEPS)
    table = Series(path, window=10).table
    assert (
        table.names == ["Close"]
        and "'Close', out of 5 numeric columns" in caplog.text
        and "data.columns=[Open]" in caplog.text
    )
    np.testing.assert_allclose(table.values[0], RETURNS.T[1], atol=1e-6)
    assert Series(path, window=10, columns=["Open", "Close"]).table.names == ["Open", "Close"]


@pytest.mark.parametrize(
    "names", ["1. open,2. high,3. low,4. close", "X.Open,X.High,X.Low,X.Close", "Open,High,Low,Price", "o,h,l,c"]
)
def test_bars_with_other_names_are_bars(tmp_path, names):
    *bars, close = names.split(",")
    changed = {name: columns()["a"] for name in bars} | {close: columns()["b"], "Adj Close": columns()["a"]}
    assert Series(save(tmp_path, a=None, b=None, **changed), window=10).table.names == [close]


def test_rows_without_dates_keep_the_order_of_the_file_with_a_warning(tmp_path, caplog):
    assert Series(save(tmp_path, day=None), window=10).table.names == ["a", "b"]
    assert "no column of dates; rows are used in the order of the file" in caplog.text


def test_series_one_under_another_are_refused_with_what_sets_them_side_by_side(tmp_path, monkeypatch):
    tmp_path = tmp_path / "it's"
    tmp_path.mkdir()
    prices = {name: columns()[name] for name in "ab"}
    stacked = {"name": ["a"] * STEPS + ["b"] * STEPS, "day": DAYS * 2, "price": prices["a"] + prices["b"]}
    path = save(tmp_path, **stacked, a=None, b=None, venue=None)
    with pytest.raises(Refusal, match="2 series stacked in one column, named by column 'name'") as refused:
        _ = Series(path, window=10).table
    command = shlex.split(str(refused.value).split("Try ")[1].split(" and ")[0])
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, *command[1:]], check=True)
    table = Series("wide.csv", window=10).table
    assert table.names == ["a", "b"]
    np.testing.assert_allclose(table.values, RETURNS.T, atol=1e-6)
