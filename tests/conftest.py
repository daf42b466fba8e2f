"""A time limit for a whole run of the tests, below the limit of the machine that runs them."""

import time

import pytest

started = time.monotonic()


def pytest_addoption(parser):
    parser.addoption("--start-within", type=float, metavar="SECONDS", help="skip the tests that would start later")


def pytest_runtest_setup(item):
    limit = item.config.getoption("start_within")
    if limit is not None and time.monotonic() - started > limit:
        pytest.skip(f"{limit:g} seconds are over")
