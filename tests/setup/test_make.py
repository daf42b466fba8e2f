"""`make setup`, as far as it goes without installing anything, and the versions that it installs."""

import itertools
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def make(folder, *arguments, **environment):
    """What make does in a folder, whether or not this test runs below another make."""
    command = [shutil.which("make"), "-f", ROOT / "Makefile", *arguments]
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=outer | environment)


@pytest.fixture
def ready(tmp_path):
    """A folder in which `make setup` has been done."""
    for name in ("pyproject.toml", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def test_setup_does_nothing_twice(ready):
    assert make(ready, "-q", "setup").returncode == 0


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.py", "constraints.txt"])
def test_setup_is_done_again_when_what_to_install_has_changed(ready, name):
    later = (ready / ".venv" / ".ready").stat().st_mtime + 1
    os.utime(ready / name, (later, later))
    assert make(ready, "-q", "setup").returncode == 1


def test_setup_without_a_python_that_is_new_enough_says_so(ready, tmp_path):
    shutil.rmtree(ready / ".venv")
    old = tmp_path / "bin" / "python3"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make(ready, "setup", PATH=str(old.parent))
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (ready / ".venv").exists()


def test_help_says_what_every_target_is_for(tmp_path):
    said = dict(line.split(maxsplit=1) for line in make(tmp_path, "help").stdout.splitlines())
    (phony,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(said) == set(phony.split())


def test_every_dependency_is_pinned_to_a_version_that_the_package_allows():
    pins = dict(re.findall(r"^([^#\s=]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in itertools.chain(project["dependencies"], *project["optional-dependencies"].values()):
        needed = Requirement(line)
        if needed.name != project["name"]:
            assert needed.specifier.contains(pins[needed.name.lower().replace("_", "-")]), line
