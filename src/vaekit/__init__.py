"""vaekit: variational autoencoders by composition, on PyTorch Lightning and Hydra."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from vaekit.torchvision_operators import declare_on_import

declare_on_import()
__version__ = version("vaekit")
MODULES = {
    "Run": "finished_run",
    "from_pretrained": "runs",
    "load": "runs",
    "Refusal": "refusal",
}  # of names that are not defined in vaekit.api
__all__ = ["Refusal", "Run", "build", "fit", "from_pretrained", "load", "open", "train"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a name on first use, because torch, Lightning and Hydra take seconds and would delay tab completion."""
    if name not in __all__:
        raise AttributeError(f"module 'vaekit' has no attribute {name!r}")
    return getattr(import_module(f"vaekit.{MODULES.get(name, 'api')}"), name)
