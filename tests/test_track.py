"""Progress bars."""

import threading

import pytest

from vaekit.track import track


def test_values_come_through_under_a_bar(capsys):
    assert list(track(iter("abc"), "reading", total=3)) == ["a", "b", "c"]
    printed = capsys.readouterr().out
    assert "reading" in printed and "100%" in printed


def test_an_error_leaves_no_thread_behind():
    before = threading.active_count()
    bar = track(range(3), "reading")
    with pytest.raises(ZeroDivisionError):
        [1 / number for number in bar]
    assert threading.active_count() == before
    assert list(track(range(2), "reading again")) == [0, 1]
