"""Pages of the site that no file of docs/ holds: one for each part, and those of files elsewhere in the repository."""

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from vaekit import catalogue
from vaekit.catalogue import Choice

sys.path.insert(0, str(Path(__file__).parent))
from part_figures import figure

ROOT = Path(__file__).parents[1]
OUTSIDE = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "benchmarks/LOG.md"]
SECTION = re.compile(r"^(Args|Returns|Raises|Example):\n((?: {4}.*\n?|\n(?= {4}))+)", re.MULTILINE)  # of a docstring
RESULTS = ["Results", "Speed", "From one core to a cluster"]  # sections of README.md


class Examples(griffe.Extension):
    """Reads a section `Example` as one of code, as mkdocstrings reads `Examples`."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of parts to the navigation."""
    assert config.nav is not None
    pages = [
        {group: [f"parts/{group}/index.md", *({each.name: _uri(each)} for each in catalogue.choices(group))]}
        for group in catalogue.groups()
    ]
    config.nav.append({"Parts": ["parts/index.md", *pages]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in OUTSIDE}
    texts["results.md"] = _sections((ROOT / "README.md").read_text(encoding="utf-8"), RESULTS)
    texts["parts/index.md"] = "# Parts\n\n" + _table(
        ["group", "what is chosen"],
        [[f"[{group}]({group}/index.md)", _text(about)] for group, about in catalogue.group_sentences().items()],
    )
    for group in catalogue.groups():
        choices = catalogue.choices(group)
        rows = [[f"[{each.name}]({each.name}.md)", _text(each.sentence)] for each in choices]
        texts[f"parts/{group}/index.md"] = f"# {group}\n\n" + _table([f"`{group}=`", ""], rows)
        texts |= {_uri(each): part_page(each) for each in choices}
    for each in (each for group in catalogue.groups() for each in catalogue.choices(group)):
        drawn = figure(each)
        if isinstance(drawn, str):
            texts[_uri(each)] += f"\n\n*{_text(drawn)}*\n" if drawn else ""
        else:
            png, caption = drawn
            name = f"{each.name}.png"
            files.append(File.generated(config, f"parts/{each.group}/{name}", content=png))
            texts[_uri(each)] += f"\n\n## Figure\n\n![{caption}]({name})\n\n*{caption}*\n"
    for uri, text in texts.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links follow files of the repository to where the site has them."""
    inside = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\]\(\.\./(?=(?:\.\./)*(?:[A-Z_]+|benchmarks/LOG)\.md)", "](", markdown)
    return re.sub(r"\]\(docs/", f"]({inside}", markdown)


def part_page(choice: Choice) -> str:
    """The page of a part: what `--info` says, as Markdown."""
    parts = [f"# {choice.group}={choice.name}", _text(choice.head), _docstring(choice.docstring)]
    if choice.options:
        rows = [[f"`{key}`", f"`{default}`", _text(comment)] for key, default, comment in choice.options]
        parts.append("## Options\n\n" + _table(["setting", "default", ""], rows))
    if choice.declared:
        rows = [[name, _text(catalogue.meaning(name, words))] for name, words in choice.declared.items()]
        parts.append("## What it needs and gives\n\n" + _table(["declares", ""], rows))
    if choice.papers:
        lines = [f"- {f'With `{each.setting}`: ' if each.setting else ''}{_text(each.text)}" for each in choice.papers]
        parts.append("## Papers\n\n" + "\n".join(lines))
    return "\n\n".join(filter(None, parts))


def _uri(choice: Choice) -> str:
    return f"parts/{choice.group}/{choice.name}.md"


def _text(text: str) -> str:
    """Plain text as Markdown: what stands between backticks is code, and nothing else is markup but addresses."""
    pieces = re.split(r"(`[^`\n]+`|https://[^\s,;:)]+[^\s,;:.)])", text)
    for index in range(0, len(pieces), 2):
        pieces[index] = re.sub(r"([\\*_\[\]#|$])", r"\\\1", pieces[index]).replace("<", "&lt;")
    pieces[1::2] = [piece if piece[0] == "`" else f"<{piece}>" for piece in pieces[1::2]]
    return "".join(pieces)


def _docstring(text: str) -> str:
    """A docstring as Markdown: a list of the names in its sections, and its example as code."""
    prose, *sections = SECTION.split(text)
    parts = [_text(prose.strip())]
    for title, body, after in zip(sections[::3], sections[1::3], sections[2::3], strict=True):
        body = textwrap.dedent(body).strip()
        if title == "Example":
            parts.append(f"## Example\n\n```pycon\n{body}\n```")
        else:
            lines = re.sub(r"\n +", " ", body).splitlines()
            items = [re.sub(r"^(\S+): ", r"- `\1`: ", line) for line in lines]
            parts.append(f"## {title}\n\n" + "\n".join(_text(item) for item in items))
        parts.append(_text(after.strip()))
    return "\n\n".join(filter(None, parts))


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Rows of Markdown. A bar within a cell would end it."""
    lines = [[re.sub(r"(?<!\\)\|", r"\|", cell) for cell in line] for line in (head, ["---"] * len(head), *rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _sections(text: str, titles: list[str]) -> str:
    """These sections of a page, under a title of their own."""
    found = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text, re.MULTILINE))
    return "# Measurements\n\n" + "\n".join(f"## {title}\n{found[title]}" for title in titles)
