"""Series: prices in a file, windows named by their last day."""

import csv

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from helpers import SERIES
from vaekit.data.cells import read
from vaekit.data.series import Series as Source
from vaekit.media.medium import medium
from vaekit.refusal import Refusal
from vaekit.spaces import Series

LEVELS = Series((2, 10), ["a", "b"], [5.0, 1.0], [2.0, 0.5], returns=False)


def save(folder, prices, days):
    with (folder / "more.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["b", "day", "a"], *([b, day, a] for (a, b), day in zip(prices, days, strict=True))]
        )
    return folder / "more.csv"


def test_every_window_of_a_file_is_read_by_its_last_day(tmp_path):
    returns = np.random.default_rng(0).normal(0, 0.01, (12, 2))
    prices = 50 * np.exp(np.cumsum(np.concatenate([np.zeros((1, 2)), returns]), 0))
    days = [f"2024-01-{day:02}" for day in range(1, 14)]
    names, read = medium(SERIES).find(save(tmp_path, prices, days))
    assert names == days[10:]
    batch = read(slice(1, 3))
    assert batch.mask is None
    torch.testing.assert_close(SERIES.restore(batch.x)[1], torch.from_numpy(returns[2:].T), atol=1e-7, rtol=1e-5)
    prices[5, 0] = np.nan
    batch = medium(SERIES).read_incomplete(save(tmp_path, prices, days))
    x, known = batch.x, batch.mask.bool()
    assert known.shape == x.shape == (3, 2, 10) and (~known[0, 0]).nonzero().flatten().tolist() == [4, 5]
    with pytest.raises(Refusal, match=r"more\.csv has 8 returns, expected at least 10"):
        medium(SERIES).find(save(tmp_path, prices[:9], days[:9]))


@pytest.mark.parametrize("space", [SERIES, LEVELS], ids=["returns", "levels"])
def test_paths_are_written_in_the_units_of_the_file(tmp_path, space):
    x = torch.randn(3, 2, 10)
    medium(space).write(tmp_path / "paths", x, 1)
    cells = read(tmp_path / "paths.csv")
    assert list(cells) == ["path", "step", "a", "b"] and (tmp_path / "paths.png").is_file()
    values = np.array(cells["a"], float).reshape(3, -1)
    expected = space.restore(x)[:, 0].numpy()
    if space is SERIES:
        assert (values[:, 0] == 100).all()
        values = np.diff(np.log(values))
    np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("space", "unit"), [(SERIES, "price, 100 at the start"), (LEVELS, "level")], ids=["returns", "levels"]
)
def test_each_panel_of_paths_says_its_series_step_and_unit(tmp_path, space, unit, monkeypatch):
    panels = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: panels.extend(figure.axes))
    medium(space).write(tmp_path / "paths", torch.randn(3, 2, 10), 1)
    texts = [(panel.get_title(), panel.get_xlabel(), panel.get_ylabel()) for panel in panels]
    assert texts == [("a", "step", unit), ("b", "step", unit)]


@pytest.mark.parametrize("space", [SERIES, LEVELS], ids=["returns", "levels"])
def test_a_set_of_windows_is_read_again_as_it_was(tmp_path, space):
    x = torch.randn(20, 2, 10)
    medium(space).set_writers["series"](tmp_path, x.numpy(), None, {})
    values = "returns" if space.returns else "levels"
    source = Source(tmp_path / "synthetic.csv", window=10, stride=10, values=values, validation=10, test=50)
    rows = source.load("train")
    again = source.space.restore(rows.x[torch.arange(len(rows))])
    torch.testing.assert_close(again, space.restore(x[:15]), atol=1e-5, rtol=1e-5)
