"""Lets torchvision of the package index import with a CPU-only torch.

torchvision's Python code decorates two operators that its compiled extension defines. With another build of torch
the extension does not load, and `import torchvision` (so also `import lightning`, through torchmetrics) dies with
"operator torchvision::nms does not exist". Declaring the two schemas is enough for everything but the operators
themselves (non-maximum suppression) and `torchvision.io`, neither of which vaekit uses.
"""

import importlib.abc
import importlib.util
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[object] = []  # a torch.library.Library withdraws its schemas when it is collected


def declare_missing(folders: Iterable[str]) -> None:
    """Declare the schemas of operators that the extension of torchvision fails to register.

    Args:
        folders: Folders in which torchvision is installed.
    """
    import torch

    for folder in folders:
        for extension in Path(folder).glob("_C.*"):
            with suppress(OSError):  # built for another torch: the case that this file is for
                torch.ops.load_library(str(extension))
    missing = {name: schema for name, schema in SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)}
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in missing.items():
            library.define(name + schema)
        _libraries.append(library)


class _OnImport(importlib.abc.MetaPathFinder):
    """Runs `declare_missing` when torchvision is first imported, so that a program that never does pays nothing."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)  # the finders after it find the real one
        spec = importlib.util.find_spec("torchvision")
        if spec is not None:
            declare_missing(spec.submodule_search_locations or [])
        return spec


def declare_on_import() -> None:
    """Install the hook, once, unless torchvision is imported already."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, _OnImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OnImport())
