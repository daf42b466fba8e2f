"""Lets the index's torchvision import beside a CPU-only torch.

torchvision's Python code decorates two operators that its compiled extension defines. Beside another build of torch
the extension does not load, and `import torchvision` (so also `import lightning`, through torchmetrics) dies with
"operator torchvision::nms does not exist". Declaring the two schemas is enough for everything but the operators
themselves (non-maximum suppression) and `torchvision.io`, neither of which vaekit uses.
"""

import importlib.abc
import importlib.machinery
import sys
from pathlib import Path

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[object] = []  # a torch.library.Library withdraws its schemas when it is collected


def declare_missing() -> None:
    """Declare the schemas that torchvision's own extension does not bring here."""
    import torch

    spec = importlib.machinery.PathFinder.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for extension in Path(folder).glob("_C*.so"):
            try:
                torch.ops.load_library(str(extension))
            except OSError:
                pass  # built for another torch: the case that this file is for
    missing = {name: schema for name, schema in SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)}
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in missing.items():
            library.define(name + schema)
        _libraries.append(library)


class _OnImport(importlib.abc.MetaPathFinder):
    """Runs `declare_missing` when torchvision is first imported, so that a program that never does pays nothing."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            declare_missing()
        return None


def declare_on_import() -> None:
    """Install the hook, once, unless torchvision is there already."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, _OnImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OnImport())
