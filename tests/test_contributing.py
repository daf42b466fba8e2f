"""The tutorials of CONTRIBUTING.md: a copy of the repository gets their files, and their commands run there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# runs the lines of its input as a shell would; those of python in one process, because each would import torch again
SHELL = """
import runpy, shlex, subprocess, sys
for line in sys.stdin:
    print("$", line, flush=True)
    sys.argv = shlex.split(line)[1:]
    if sys.argv[:2] == ["-m", "pytest"]:
        subprocess.run([sys.executable, *sys.argv, "-q", "-p", "no:cacheprovider"], check=True)
    elif sys.argv[0] == "-c":
        exec(sys.argv[1])
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
"""


def walk():
    """Of the sections "How do I add ...": the kind of each block, the file that is named last before it, its text."""
    for section in re.findall(r"^## How do I add .*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL):
        file = None
        for named, kind, text in re.findall(
            r"`((?:src|conf|tests)/[\w/]+\.\w+)`|^```(\w+)\n(.*?)^```$", section, re.M | re.S
        ):
            file = named or file
            if kind:
                yield kind, file, text


def changed(text, diff):
    """The text after a diff without line numbers, which fits in one place."""
    old, new = ("".join(line[1:] for line in diff.splitlines(True) if line[0] in marks) for marks in (" -", " +"))
    assert text.count(old) == 1, diff
    return text.replace(old, new)


@pytest.mark.slow
def test_the_tutorials_run(tmp_path):
    for name in ("src", "conf", "tests"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "local")
        )
    for name in ("train.py", "apply.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    commands = []
    for kind, file, text in walk():
        if kind == "sh":
            commands += [line for line in text.splitlines() if line]
        elif kind == "diff":
            (tmp_path / file).write_text(changed((tmp_path / file).read_text(), text))
        else:
            assert not (tmp_path / file).exists(), file
            (tmp_path / file).write_text(text)
    assert len(commands) > 10
    done = subprocess.run(
        [sys.executable, "-c", SHELL],
        input="\n".join(commands),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    styled = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=tmp_path, capture_output=True, text=True)
    assert styled.returncode == 0, styled.stdout
