"""The structure of the package: imports go down, and conf mirrors src."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_object

import vaekit
from vaekit.configs import CONF, options

SRC = Path(vaekit.__file__).parent
# lowest first; a module imports from lines above its own, or from its own folder
LEVELS = [
    ["capabilities", "configs", "overrides"],
    ["source_text", "renames"],
    ["catalogue", "refusal", "denormals", "memory", "processors", "torchvision_operators", "whole_file"],
    ["csv_file", "flags", "hub"],
    ["quantiles", "shards", "similarity", "track"],
    ["written"],
    ["limits", "entropy_coder"],
    ["settings", "words"],
    ["spaces", "batch"],
    ["distributions", "networks", "schedules", "data"],
    ["conditions", "posteriors", "priors", "writers", "likelihoods"],
    ["latents"],
    ["terms", "run_files"],
    ["vae"],
    ["objectives", "penalties", "metrics", "coding"],
    ["media"],
    ["plan"],
    ["summary"],
    ["runs", "callbacks"],
    ["checkpoints"],
    ["training"],
    ["tasks", "sweep_summary"],
    ["folders"],
    ["apply", "hydra_job"],
    ["sweep_jobs", "in_memory"],
    ["finished_run"],
    ["api", "commands"],
    ["sklearn"],
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
# folders of parts, and the modules in them that are not parts
GROUPS = {
    "network": {"activation", "any_order", "bottom_up", "concat_input", "glorot", "linear", "made"}
    | {"network", "pixelcnn", "upsample", "velocity", "wavenet"},
    "posterior": {"directional", "experts", "posterior"},
    "prior": {"prior"},
    "condition": {"condition"},
    "latents": {"tower"},
    "likelihood": {"likelihood"},
    "writer": {"writer"},
    "objective": {"objective", "weights"},
    "penalty": {"penalty", "critic", "aggregate"},
    "schedule": {"schedule"},
    "task": set(),
}
FILES = sorted(path for path in SRC.rglob("*.py") if path != SRC / "__init__.py")


def module_of(path):
    return path.relative_to(SRC).with_suffix("").parts[0]


def imported(path):
    """The modules and packages of vaekit that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" if node.module == "vaekit" else node.module for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("vaekit."))


def test_every_module_has_a_level():
    assert {module_of(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_go_down(path):
    own = module_of(path)
    upward = {name for name in imported(path) if name != own and LEVEL[name] >= LEVEL[own]}
    assert not upward, f"{own} imports {upward}, which are not below it"


def test_tasks_write_csv_by_one_function():
    others = [path for path in FILES if module_of(path) in ("tasks", "media", "data")]
    assert not [path for path in others if re.search(r"csv\.(writer|DictWriter)", path.read_text())]


def folder(group):
    return next(SRC / name for name in (group, f"{group}s", f"{group[:-1]}ies") if (SRC / name).is_dir())


@pytest.mark.parametrize("group", GROUPS)
def test_every_part_has_a_config_and_every_config_a_part(group):
    parts = {path.stem for path in folder(group).glob("*.py")} - {"__init__"} - GROUPS[group]
    named = {name for name, option in options(group).items() if any(targets(option))}
    assert named == parts
    variants = set(options(group)) - named  # e.g. dreg, which is iwae with another gradient
    assert all(options(group)[name]["defaults"][0] in parts for name in variants)


@pytest.mark.parametrize("group", GROUPS)
def test_every_config_names_the_module_of_its_name(group):
    for name, option in options(group).items():
        for target in targets(option):
            if not target.startswith("zuko."):
                assert target.rpartition(".")[0] == f"vaekit.{folder(group).name}.{name}"


def targets(node):
    if isinstance(node, dict):
        yield from ([node["_target_"]] if "_target_" in node else [])
        for value in node.values():
            yield from targets(value)


CONFIGS = sorted(path for path in CONF.rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(CONF)))
def test_every_target_exists_and_accepts_its_settings(path):
    def walk(node):
        if not isinstance(node, dict):
            return
        if "_target_" in node:
            signature = inspect.signature(get_object(node["_target_"]))
            known = set(signature.parameters)
            if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
                assert {key for key in node if not key.startswith("_") and key != "defaults"} <= known
        for value in node.values():
            walk(value)

    walk(yaml.safe_load(path.read_text()))


def test_presets_only_choose_parts():
    for name, preset in options("model").items():
        assert not list(targets(preset)), name
        assert all(next(iter(entry)).startswith("override /") for entry in preset["defaults"]), name


def documented(path):
    """The public classes and functions at the top level of a file."""
    nodes = ast.parse(path.read_text()).body
    return [node for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_"]


def arguments(node):
    """The names of what a function takes, or the constructor that a class defines, fields of a dataclass included."""
    if isinstance(node, ast.FunctionDef):
        given = node.args
        every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
        return {each.arg for each in every if each}
    constructor = next((each for each in node.body if getattr(each, "name", "") == "__init__"), None)
    if constructor is not None:
        return arguments(constructor) - {"self"}
    generated = any("dataclass" in ast.unparse(each) for each in node.decorator_list)
    if generated or any(ast.unparse(base) == "NamedTuple" for base in node.bases):
        fields = {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}
        return {name for name in fields if name[0] != "_"}
    return set()


def described(docstring):
    """The names in the section `Args` of a docstring."""
    section = re.search(r"^Args:\n((?: {4}.*\n?)+)", docstring, re.MULTILINE)
    return set(re.findall(r"^ {4}\*{0,2}(\w+): \S", section[1], re.MULTILINE)) if section else set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_every_public_class_and_function_is_documented(path):
    for node in documented(path):
        docstring = ast.get_docstring(node) or ""
        assert docstring, node.name
        assert arguments(node) <= described(docstring), node.name
