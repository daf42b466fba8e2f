"""Classes read from source text agree with the imported ones."""

import inspect

import pytest
import yaml
from hydra.utils import get_object

from vaekit.configs import CONF
from vaekit.source_text import Source


def targets(node):
    if isinstance(node, dict):
        yield from ([node["_target_"]] if "_target_" in node else [])
        for each in node.values():
            yield from targets(each)


TARGETS = sorted({each for path in CONF.rglob("*.yaml") for each in targets(yaml.safe_load(path.read_text()))})


def taken(signature):
    return [(each.name, each.kind, each.default is each.empty) for each in signature.parameters.values()]


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_part_takes(target):
    read = Source.find(target).signature
    if target == "torch.distributed.fsdp.MixedPrecision":  # a dataclass, whose constructor is written nowhere
        assert read is None
    else:
        assert taken(read) == taken(inspect.signature(get_object(target)))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module, whose classes are `mine.NAME`."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "mine.py").write_text(text)

    return write


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("class Part:\n    pass", []),
        ("class Part:\n    def __init__(self, a, /, b=1, *, c): ...", ["a", "b", "c"]),
        ("class Part:\n    def __init__(self, *a, **b): ...", ["a", "b"]),
        ("class A: ...\nclass B:\n    def __init__(self, b): ...\nclass Part(A, B): ...", ["b"]),
        ("from vaekit.priors import vamp\nclass Part(vamp.Vamp): ...", ["space", "infer", "data_space", "components"]),
        ("from vaekit.data.digits import Digits as Part", []),
        ("def Part(x): ...", ["x"]),
    ],
)
def test_signatures_of_user_defined_classes(module, text, names):
    module(text)
    assert list(Source.find("mine.Part").signature.parameters) == names


@pytest.mark.parametrize(
    "text", ["from dataclasses import dataclass\n@dataclass\nclass Part:\n    a: int", "class Part(type(3)): ..."]
)
def test_where_the_text_does_not_tell(module, text):
    module(text)
    assert Source.find("mine.Part").signature is None


@pytest.mark.parametrize("text", ["Part = 3", "class Part(:", "if True:\n    class Part: ..."])
def test_missing_sources_are_not_found(module, text):
    module(text)
    assert Source.find("mine.Part") is None
    assert Source.find("nowhere.Part") is None
