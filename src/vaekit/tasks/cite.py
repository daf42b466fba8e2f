"""The papers that a run uses."""

from __future__ import annotations

import inspect
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from vaekit import runs
from vaekit.catalogue import references
from vaekit.refusal import Refusal
from vaekit.tasks.shared.context import Context

PARTS = ("network", "posterior", "prior", "latents", "likelihood", "objective", "penalty")
PAPER = re.compile(r"(?P<authors>.+?)\. (?P<title>.+)\. (?P<venue>.+) (?P<year>\d{4})\. (?P<url>https://\S+)")
ZUKO = re.compile(r"\| (?P<title>.+) \((?P<authors>.+?)\.?, (?P<year>\d{4})\)\s+\| (?P<url>https://\S+)")
ARXIV = re.compile(r"arxiv\.org/abs/(\d{4}\.\d{4,5})")


def cite(context: Context) -> str:
    """Write the references of the parts of a run as BibTeX: cite.bib.

    They are read from the docstring of the class of a part, or else of its module. The section `References` there holds
    `none` or entries such as

        FIRST AUTHOR, SECOND AUTHOR. TITLE. In CONFERENCE YEAR. URL
        (beta) AUTHOR et al. TITLE. JOURNAL YEAR. URL               where beta is not its default
        (gradient=stl) AUTHOR et al. TITLE. arXiv YEAR. URL         where gradient is stl

    Args:
        context: The run.

    Returns:
        The BibTeX text.
    """
    config, entries = runs.read_whole_config(context.run), dict[str, str]()
    for settings in named({part: config.get(part) for part in PARTS}):
        try:
            part = runs.check_target(settings["_target_"])
        except Refusal:
            Console().print(f"{settings['_target_']} is not a part of vaekit; see its documentation.", soft_wrap=True)
            continue
        entries |= {paper["url"]: bibtex(**paper) for paper in papers(part, settings)}
    text = "\n".join(entries.values())
    (context.out / "cite.bib").write_text(text, encoding="utf-8")
    Console().print(text, soft_wrap=True, highlight=False, markup=False)
    return text


def named(config: Any) -> Iterator[Mapping[str, Any]]:
    """The sections of a configuration that name a class.

    Args:
        config: A configuration, or a value in it.
    """
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        for each in config.values():
            yield from named(each)


def papers(part: type, settings: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The references of a part with some settings.

    Args:
        part: Class of the part.
        settings: Settings with which it is built.

    Returns:
        Authors, title, venue, year and URL of each.
    """
    if part.__module__.startswith("zuko."):  # which has a form of its own
        yield from ({"venue": "", **match.groupdict()} for match in ZUKO.finditer(inspect.getdoc(part) or ""))
        return
    for setting, value, text in citations(part):
        given = settings.get(setting)
        given = given.get("value") if isinstance(given, dict) else given  # the final value of a schedule
        default = inspect.signature(part).parameters[setting].default if setting else None
        if not setting or (str(given).lower() == value if value else given not in (None, default)):
            match = PAPER.fullmatch(text)
            assert match, f"{part.__module__} cites in another form: {text}"
            yield match.groupdict()


def citations(part: type) -> list[tuple[str, str, str]]:
    """The references in the docstring of a part.

    Args:
        part: Class of the part.

    Returns:
        For each the setting, its value and the text.
    """
    docs = [inspect.getdoc(part) or "", sys.modules[part.__module__].__doc__ or ""]
    found = next((found for doc in docs if (found := references(doc))), [])
    return [each for each in found if each[2] != "none"]


def bibtex(authors: str, title: str, venue: str, year: str, url: str) -> str:
    """A BibTeX entry: @inproceedings for a venue that begins with "In", @article for a journal, @misc otherwise.

    Args:
        authors: Separated by commas.
        title: Title.
        venue: Conference or journal.
        year: Year.
        url: Address.
    """
    names = re.sub(r" e[tl] al$", ", others", authors).split(", ")
    words = names[0].split()[-1] + year + re.split(r"[\s:]", title)[0]
    ascii_only = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    kind, place = "misc", {}
    if venue.startswith("In "):
        kind, place = "inproceedings", {"booktitle": venue.removeprefix("In ")}
    elif venue not in ("", "arXiv"):
        kind, place = "article", {"journal": venue}
    eprint = ARXIV.search(url)
    fields = {"author": " and ".join(names), "title": f"{{{title}}}", **place, "year": year}
    fields |= {"eprint": eprint[1], "archiveprefix": "arXiv"} if eprint else {}
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in {**fields, "url": url}.items())
    return f"@{kind}{{{re.sub('[^a-z0-9]', '', ascii_only)},\n{lines}}}\n"
