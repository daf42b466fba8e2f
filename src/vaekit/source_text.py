"""Classes and functions by the text of their files: importing them would import torch, which takes seconds."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec, resolve_name
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from vaekit.capabilities import Capability, Input

ENUMS = {enum.__name__: enum for enum in (Capability, Input)}


@dataclass(frozen=True)
class Source:
    """A class or function at the top level of a module, as text.

    Args:
        module: Dotted name of the module.
        package: Package from which its relative imports start.
        tree: Syntax tree of the module.
        body: Node of the class or function.
    """

    module: str
    package: str
    tree: ast.Module
    body: ast.ClassDef | ast.FunctionDef

    @classmethod
    def find(cls, target: str) -> Source | None:
        """That of a dotted name, in the module that defines it if the one named only imports it; None if not found."""
        module, _, name = target.rpartition(".")
        if (path := _file(module)) is None:
            return None
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            return None
        return _named(name, module, module if path.stem == "__init__" else module.rpartition(".")[0], tree)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.body) or ""

    @property
    def module_docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @property
    def declared(self) -> dict[str, str]:
        """What the class says of itself by public attributes with a value, and what its bases in its package say; what
        a function says by the decorator `requires`.
        """
        found: dict[str, str] = {}
        for call in self.body.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "requires":
                found["requires"] = ", ".join(sorted(word for each in call.args for word in _words(each)))
        for base in reversed([*self._bases()]):
            if base.module.partition(".")[0] == self.module.partition(".")[0]:
                found |= base.declared
        for node in self.body.body if isinstance(self.body, ast.ClassDef) else ():
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
                if not name.startswith("_"):
                    found[name] = ", ".join(_words(node.value)) or "none"
        return found

    @property
    def signature(self) -> Signature | None:
        """Its signature, with defaults as source text; None if the text does not determine it."""
        if isinstance(self.body, ast.FunctionDef):
            return _signature(self.body, 0)
        try:
            return self._constructor() or Signature()
        except LookupError:
            return None

    def _constructor(self) -> Signature | None:
        """That of the class or the first of its bases that has one. Raises `LookupError` where that is not written."""
        assert isinstance(self.body, ast.ClassDef)
        for node in self.body.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return _signature(node, 1)
        bases = [*self._bases()]
        if self.body.decorator_list or len(bases) < len(self.body.bases):  # a dataclass, or a base made at run time
            raise LookupError(self.body.name)
        return next((found for base in bases if (found := base._constructor())), None)

    def _bases(self) -> Iterator[Source]:
        for base in self.body.bases if isinstance(self.body, ast.ClassDef) else ():
            name = ast.unparse(base)
            if "." in name:
                start, _, rest = name.partition(".")
                imported = _imported(start, self.package, self.tree)
                found = Source.find(f"{imported}.{rest}") if imported else None
            else:
                found = _named(name, self.module, self.package, self.tree)
            if found:
                yield found


def _file(module: str) -> Path | None:
    """The file of a module; None for one that is not found or not written in Python."""
    top, *below = module.split(".")
    spec = find_spec(top) if top else None
    if spec is None:
        return None
    if spec.submodule_search_locations is None:
        paths = [] if below else [Path(spec.origin or "")]
    else:
        places = [Path(root, *below) for root in spec.submodule_search_locations]
        paths = [path for place in places for path in (place / "__init__.py", place.with_name(f"{place.name}.py"))]
    return next((path for path in paths if path.suffix == ".py" and path.is_file()), None)


def _named(name: str, module: str, package: str, tree: ast.Module) -> Source | None:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Source(module, package, tree, node)
    imported = _imported(name, package, tree)
    return Source.find(imported) if imported else None


def _imported(name: str, package: str, tree: ast.Module) -> str | None:
    """The dotted name of what is imported as `name`."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            before = "" if isinstance(node, ast.Import) else f"{'.' * node.level}{node.module or ''}"
            for each in node.names:
                if (each.asname or each.name) == name:
                    return f"{resolve_name(before, package)}.{each.name}".lstrip(".")
    return None


def _signature(function: ast.FunctionDef, bound: int) -> Signature:
    """bound: how many of the first arguments are not the caller's: self."""
    args = function.args
    plain = [*args.posonlyargs, *args.args]
    written = [*[None] * (len(plain) - len(args.defaults)), *args.defaults]

    def parameters(names: list[ast.arg], kind: Any, defaults: Sequence[ast.expr | None]) -> Iterator[Parameter]:
        for name, default in zip(names, defaults, strict=True):
            yield Parameter(name.arg, kind, default=Parameter.empty if default is None else ast.unparse(default))

    return Signature(
        [
            *parameters(plain[bound:], Parameter.POSITIONAL_OR_KEYWORD, written[bound:]),
            *parameters([args.vararg] if args.vararg else [], Parameter.VAR_POSITIONAL, [None] * bool(args.vararg)),
            *parameters(args.kwonlyargs, Parameter.KEYWORD_ONLY, args.kw_defaults),
            *parameters([args.kwarg] if args.kwarg else [], Parameter.VAR_KEYWORD, [None] * bool(args.kwarg)),
        ]
    )


def _words(node: ast.expr) -> list[str]:
    """The names and strings of which a declaration is made, sorted where it is a set."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("frozenset"):
        return [word for each in node.args for word in _words(each)]
    if isinstance(node, ast.Set):
        return sorted(word for each in node.elts for word in _words(each))
    if isinstance(node, ast.Tuple | ast.List):
        return [word for each in node.elts for word in _words(each)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_words(node.left), *_words(node.right)]
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ENUMS:
        return [str(ENUMS[ast.unparse(node.value)][node.attr])]
    return [node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)]
