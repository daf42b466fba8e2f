"""The documentation site builds without a warning, so that every link within it leads somewhere, and has every part."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vaekit import catalogue

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md")]  # which the repository's host shows, too


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    for group in catalogue.groups():
        listed = (tmp_path / "parts" / group / "index.html").read_text()
        for choice in catalogue.choices(group):
            page = (tmp_path / "parts" / group / choice.name / "index.html").read_text()
            assert f"{group}={choice.name}" in page
            assert all(f"<code>{option.key}</code>" in page for option in choice.options)
            assert f">{choice.name}</a>" in listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_links_to_exist(page):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link
