"""The accuracy of `experiment=mnist_100_labels` on real digits, at one draw of the labels."""

import json
import os

import pytest

from .conftest import train


@pytest.mark.slow
@pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA does not say where real data are")
def test_a_hundred_labels_suffice_to_classify_most_digits(tmp_path):
    """Five minutes on one core."""
    run = train(tmp_path / "run", "experiment=mnist_100_labels", small=())
    assert 1 - json.loads((run / "metrics.json").read_text())["test/accuracy"] <= 0.045
