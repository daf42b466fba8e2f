"""The choices of each configuration group, their options, requirements and papers, read from conf and source text.

Imports no torch and none of the parts, so that `--help`, `--list` and `--info` answer at once.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vaekit.capabilities import Capability, Input
from vaekit.configs import CONF
from vaekit.source_text import Source

# the section of a docstring, and a paper in it: the setting it is the paper of, `(beta)` or `(gradient=stl)`, if any
REFERENCES = re.compile(r"^References:\n((?: {4}.*\n?)+)\n?", re.MULTILINE)
REFERENCE = re.compile(r"^ {4}(?:\((\w+)(?:=(\w+))?\) )?(\S.*(?:\n {5,}.*)*)", re.MULTILINE)


class Option(NamedTuple):
    """A setting of a choice.

    Args:
        key: As it is typed.
        default: Value in the file.
        comment: Comment in its line of the file.
    """

    key: str
    default: str
    comment: str


class Paper(NamedTuple):
    """A reference of a part.

    Args:
        setting: Setting with which the part is that of the paper, `beta` or `gradient=stl`; empty if always.
        text: Authors, title, venue and address.
    """

    setting: str
    text: str


@dataclass(frozen=True)
class Choice:
    """One choice of a group: the file `<folder>/<group>/<name>.yaml`.

    Args:
        group: Name of the group, e.g. `prior`.
        name: Name of the choice, e.g. `vamp`.
        folder: Folder of the configuration tree.
    """

    group: str
    name: str
    folder: Path = CONF

    @cached_property
    def text(self) -> str:
        return (self.folder / self.group / f"{self.name}.yaml").read_text(encoding="utf-8")

    @cached_property
    def about(self) -> str:
        """What it is: the comment at the file's head, or else the first paragraph of the part's docstring."""
        return self.head or " ".join(self.docstring.partition("\n\n")[0].split())

    @property
    def sentence(self) -> str:
        return re.split(r"(?<!\bal)(?<!e\.g)\. (?=[A-Z`])", self.about)[0].rstrip(".")

    @cached_property
    def head(self) -> str:
        lines = re.match(r"(?:#.*\n|\n)*", self.text)[0].splitlines()  # type: ignore[index]
        return " ".join(line.lstrip("# ") for line in lines if line and not line.startswith("# @package"))

    @cached_property
    def sources(self) -> list[Source]:
        """Source text of the parts that the file names and their module defines; if it names none, of the parts of its
        parents.
        """
        if not self._targets:
            return [source for each in self.parents for source in each.sources]
        found = [source for target in self._targets if (source := Source.find(target))]
        (module, *others) = {target.rpartition(".")[0] for target in self._targets}
        return [source for source in found if source.module == module and not others]

    @cached_property
    def docstring(self) -> str:
        """The docstring of the part without references; if the file names several parts of a module, that of the
        module.
        """
        if not self.sources:
            return ""
        first = self.sources[0]
        text = first.docstring if len(self.sources) == 1 else first.module_docstring
        return REFERENCES.sub("", text).strip()

    @cached_property
    def declared(self) -> dict[str, str]:
        """What the part declares to read, need and give, by the name of the declaration."""
        return self.sources[0].declared if self.sources else {}

    @cached_property
    def papers(self) -> list[Paper]:
        if not self.sources:
            return []
        first = self.sources[0]
        found = references(first.docstring) or references(first.module_docstring)
        return [
            Paper("=".join(filter(None, (setting, value))), text) for setting, value, text in found if text != "none"
        ]

    @cached_property
    def options(self) -> list[Option]:
        """Its settings and its choices in other groups; those of its parents come first."""
        found = {option.key: option for each in self.parents for option in each.options}
        return list((found | {option.key: option for option in self._own_options()}).values())

    @cached_property
    def parents(self) -> list[Choice]:
        """The choices of its group that the file includes."""
        names = [str(each) for each in self._defaults if isinstance(each, str)]
        names = [name.removeprefix("/").removeprefix(f"{self.group}/") for name in names if name != "_self_"]
        folders = {name: self.folder if self._has(self.folder, name) else CONF for name in names}
        return [Choice(self.group, name, folders[name]) for name in names if self._has(folders[name], name)]

    def _has(self, folder: Path, name: str) -> bool:
        return (folder / self.group / f"{name}.yaml").is_file()

    @property
    def _package(self) -> str:
        """The path of its settings, "" for the root."""
        given = re.match(r"# @package (\S+)", self.text)
        return self.group.replace("/", ".") if given is None else given[1].replace("_global_", "")

    @cached_property
    def _loaded(self) -> dict[str, Any]:
        return yaml.safe_load(self.text) or {}

    @property
    def _defaults(self) -> list[Any]:
        return self._loaded.get("defaults", [])

    @property
    def _targets(self) -> list[str]:
        """The `_target_` of the parts in the file, without parts inside other parts."""

        def walk(node: object) -> Iterator[str]:
            if isinstance(node, dict) and "_target_" in node:
                yield node["_target_"]
            elif isinstance(node, dict):
                for each in node.values():
                    yield from walk(each)

        return list(walk(self._loaded))

    def _own_options(self) -> Iterator[Option]:
        for key, chosen, comment in default_choices(self.text):
            group, _, place = key.partition("@")
            group = group.removeprefix("/") if group.startswith("/") else f"{self.group}/{group}"
            place = place.removeprefix("_global_.") if "_global_" in place else _below(self._package, place)
            if place in ("", self._package, group):
                yield Option(group, chosen, comment)
            else:
                yield Option(f"{group}@{place}", chosen, comment or f"see --list {group}")
        root = yaml.compose(self.text, Loader=yaml.SafeLoader)
        if isinstance(root, yaml.MappingNode):
            yield from self._settings(root, self._package)

    def _settings(self, node: yaml.MappingNode, at: str) -> Iterator[Option]:
        """Values with their comments. Omitted are links to the sibling setting of the same name, mandatory values, and
        keys of Hydra.
        """
        for key, value in node.value:
            name, written = key.value, _written(self.text, value)
            if name.startswith("_") or (name == "defaults" and at == self._package) or written == "???":
                continue
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                yield from self._settings(value, _below(at, name))
            elif not written.startswith("${.."):
                flow = isinstance(value, yaml.ScalarNode) or value.flow_style
                yield Option(_below(at, name), written, _comment_after(self.text, value if flow else key))


def references(docstring: str) -> list[tuple[str, str, str]]:
    """The entries of the section `References` of a docstring.

    Args:
        docstring: With its indentation removed.

    Returns:
        For each entry the setting, its value and the text. `none` is an entry too.
    """
    section = REFERENCES.search(docstring)
    entries = REFERENCE.findall(section[1]) if section else []
    return [(setting, value, " ".join(text.split())) for setting, value, text in entries]


def default_choices(text: str) -> Iterator[Option]:
    """The choices in the list of defaults of a configuration, with their comments.

    Args:
        text: Text of the YAML file.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for entry in next((value.value for key, value in pairs if key.value == "defaults"), []):
        for key, chosen in entry.value if isinstance(entry, yaml.MappingNode) else ():
            yield Option(key.value.rpartition(" ")[2], _written(text, chosen), _comment_after(text, chosen))


def _written(text: str, node: yaml.Node) -> str:
    return " ".join(text[node.start_mark.index : node.end_mark.index].split())


def _comment_after(text: str, node: yaml.Node) -> str:
    """The comment after a node in the same line."""
    comment = re.match(r":?[ \t]*#[ \t]*(.*)", text[node.end_mark.index :])
    return comment[1] if comment else ""


def groups(folders: Sequence[Path] = (CONF,)) -> list[str]:
    """The names of all groups, e.g. `prior` and `optimizer/decay`.

    Args:
        folders: Folders of configuration trees.
    """
    files = (path.parent.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("*.yaml"))
    return sorted(set(files) - {".", "local"})


def choices(group: str, folders: Sequence[Path] = (CONF,)) -> list[Choice]:
    """The choices of a group. If a name is in several folders, the first one counts.

    Args:
        group: Name of the group.
        folders: Folders of configuration trees, those of the user first.
    """
    found = {path.stem: folder for folder in reversed(folders) for path in (folder / group).glob("[!_]*.yaml")}
    return [Choice(group, name, folder) for name, folder in sorted(found.items())]


def listing(group: str, folders: Sequence[Path] = (CONF,)) -> str:
    """Each choice of a group with its sentence, as text for a terminal.

    Args:
        group: Name of the group.
        folders: Folders of configuration trees, those of the user first.
    """
    return _columns([(choice.name, choice.sentence) for choice in choices(group, folders)])


def group_sentences(folders: Sequence[Path] = (CONF,)) -> dict[str, str]:
    """The sentence of each group: its comment in the defaults of conf/train.yaml or conf/apply.yaml, where groups that
    only other files choose from stand as comments.

    Args:
        folders: Folders of configuration trees, those of the user first.

    Returns:
        Sentences by the name of the group; empty text for a group without a comment.
    """
    texts = [(CONF / f"{name}.yaml").read_text(encoding="utf-8") for name in ("train", "apply")]
    chosen = (option for text in texts for option in default_choices(text.replace("  # - ", "  - ")))
    comments = {option.key.partition("@")[0]: option.comment for option in chosen}
    return {group: comments.get(group, "") for group in groups(folders)}


def list_groups(folders: Sequence[Path] = (CONF,)) -> str:
    """Each group with its sentence, as text for a terminal.

    Args:
        folders: Folders of configuration trees, those of the user first.
    """
    return _columns(list(group_sentences(folders).items()))


def meaning(name: str, words: str) -> str:
    """What a part declares, with the sentence of each capability.

    Args:
        name: Name of the declaration, e.g. `gives`.
        words: Its members, separated by commas.
    """
    known = {str(each): each.sentence for each in (Input if name == "inputs" else Capability)}
    return ", ".join(f"{word} ({known[word]})" if word in known else word for word in words.split(", "))


def info(choice: Choice) -> str:
    """The description of a choice, its options, declarations and references, as text for a terminal.

    Args:
        choice: The choice.
    """
    parts = [f"{choice.group}={choice.name}", textwrap.fill(choice.head, _width()), choice.docstring]
    if choice.options:
        options = [(f"{key}={default}", comment) for key, default, comment in choice.options]
        parts.append("Options, with their defaults:\n" + _columns(options))
    if choice.declared:
        parts.append(
            "It declares:\n" + _columns([(name, meaning(name, words)) for name, words in choice.declared.items()])
        )
    if choice.papers:
        papers = [(setting and f"with {setting}:", text) for setting, text in choice.papers]
        parts.append("Papers:\n" + _columns(papers))
    return "\n\n".join(filter(None, parts))


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns, the second wrapped; a name too long for the first has a line of its own."""
    first = min(max((len(name) for name, _ in rows), default=0), 36)
    lines = []
    for name, text in rows:
        width = max(_width() - first - 4, 20)
        head, *rest = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
        if len(name) > first and head:
            lines.append(f"  {name}")
            name = ""
        lines += [f"  {name:{first}}  {head}".rstrip(), *(f"  {'':{first}}  {line}" for line in rest)]
    return "\n".join(lines)


def _width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def _below(at: str, name: str) -> str:
    return f"{at}.{name}".strip(".")
