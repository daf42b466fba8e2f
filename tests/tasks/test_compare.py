"""Several runs side by side."""

import csv
import shutil

import numpy as np
import PIL.Image
import pytest

import vaekit
from vaekit import runs
from vaekit.refusal import Refusal
from vaekit.tasks.compare import compare, learning_curve


def table(context):
    with (context.out / "comparison.csv").open(newline="") as file:
        return {row.pop("run"): row for row in csv.DictReader(file)}


@pytest.fixture
def other(untrained):
    return untrained("posterior=full_gaussian", "latents.dim=5")


def test_settings_that_differ_and_metrics(digits, other, capsys):
    found = compare(digits, [other])
    one, two = found.values()
    assert one["posterior"] == "gaussian" and two["posterior"] == "full_gaussian"
    assert (one["latents.dim"], two["latents.dim"]) == (3, 5)
    assert not any(key.startswith(("data.module", "network.encoder.", "trainer.d", "callbacks")) for key in one)
    assert "likelihood" not in one
    assert {key: one[key] for key in runs.read_metrics(digits.run)} == runs.read_metrics(digits.run)
    assert two["test/nll"] == 200
    rows = table(digits)
    assert list(rows) == list(found)
    assert float(rows[other.name]["test/nll"]) == 200
    assert rows[other.name]["val/loss"] == ""
    printed = capsys.readouterr().out
    assert "full_gaussian" in printed and "test/nll" in printed and "val/loss" not in printed
    with PIL.Image.open(digits.out / "comparison.png") as picture:
        assert np.asarray(picture).std() > 0


def test_one_other_may_be_given_without_a_list_and_runs_of_one_name_are_distinguished(digits, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(digits.run, tmp_path / name / digits.run.name)
    assert len(compare(digits, tmp_path / "a" / digits.run.name)) == 2
    others = [tmp_path / name / digits.run.name for name in ("a", "b")]
    assert set(compare(digits, others)) >= {f"a/{digits.run.name}", f"b/{digits.run.name}"}


def test_learning_curves(digits, other, tmp_path):
    name, points = learning_curve(digits.run)
    assert name == "val/loss" and len(points) == 3
    assert points[-1][0] > points[0][0] and points[-1][1] < points[0][1]
    assert learning_curve(other) == ("", [])
    (tmp_path / "metrics.csv").write_text("step,train/loss,val/loss\n10,3.5,\n20,3.0,\n")
    assert learning_curve(tmp_path) == ("train/loss", [(10, 3.5), (20, 3.0)])


def test_nothing_but_other_finished_runs_are_compared(digits, tmp_path):
    for others in ((), [digits.run]):
        with pytest.raises(Refusal, match=r"other runs than .*task.others=\[outputs/\.\.\.\]"):
            compare(digits, others)
    with pytest.raises(Refusal, match="holds no run"):
        compare(digits, [tmp_path])


def test_a_run_in_python_is_a_path(digits, other):
    assert compare(digits, vaekit.open(other)).keys() == compare(digits, [vaekit.open(other)]).keys()


@pytest.mark.long
def test_a_configuration_s_text_is_shown_as_it_is(digits, other, capsys):
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("name: digits", "name: '[red]digits[/red]'", 1))
    compare(digits, other)
    assert "[red]digits[/red]" in capsys.readouterr().out


def test_the_command_line(digits_run, other, apply):
    code, printed = apply(f"run={digits_run}", "task=compare", f"task.others=[{other}]", "device=cpu")
    assert code == 0, printed
    assert "comparison.csv" in printed and "comparison.png" in printed
