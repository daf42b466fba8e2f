"""The commands and the Python that the pages show: Hydra composes each command, and Python runs in an empty folder."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from vaekit.commands import mark_open
from vaekit.configs import CONF

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted(path for path in CONF.rglob("*.yaml") if path.parent != CONF)


def shell_lines(page):
    """The lines of a page's blocks of shell code, those that go on in the next joined with it."""
    text = page.read_text().replace("\\\n", " ")
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]


def python_blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def bare_words(line):
    """What stands outside of quotes, without the comment."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", re.sub(r"(^|\s)#.*", "", line)).split()


def commands(page):
    """The script and the words of each call of train.py or apply.py, within a block of code or between backticks."""
    text = page.read_text().replace("\\\n", " ")
    lines = shell_lines(page)
    lines += [span.replace("\n", " ") for span in re.findall(r"(?<!`)`(python (?:train|apply)\.py[^`]*)`", text)]
    for line in lines:
        if called := re.match(r"python (train|apply)\.py (.*)", line):
            yield called[1], shlex.split(called[2], comments=True)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param(script, words, id=f"{page.stem}: {script}.py {' '.join(words)}")
        for page in PAGES
        for script, words in commands(page)
        if not any(word.startswith("--") for word in words)  # sweeps, help and configurations of the reader's own
    ],
)
def test_a_command_of_the_pages_can_be_composed(script, words):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        compose(script, overrides=mark_open(words) if script == "apply" else words)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(CONF)))
def test_the_choices_that_a_config_mentions_exist(path):
    groups = "|".join(folder.name for folder in CONF.iterdir() if folder.is_dir())
    for comment in re.findall(r"#(.*)", path.read_text()):
        for group, name in re.findall(rf"\b({groups})=([a-z]\w*)", comment):
            assert (CONF / group / f"{name}.yaml").is_file(), f"{group}={name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_brackets_are_quoted_because_zsh_takes_them_for_file_names(page):
    bare = [word for line in shell_lines(page) for word in bare_words(line) if set(word) & set("[]{}*?()")]
    assert not bare


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=pytest.mark.slow if page.stem == "python" else pytest.mark.long)
        for page in filter(python_blocks, PAGES)
    ],
)
def test_python_of_a_page_is_one_session_with_the_shapes_that_its_comments_state(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    for block in python_blocks(page):
        exec(compile(block, page, "exec"), names)
        for name, shape in re.findall(r"^(\w+) = .*# \[([\d, ]+)\]", block, re.MULTILINE):
            assert list(names[name].shape) == [int(size) for size in shape.split(",")], name
