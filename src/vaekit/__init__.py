"""vaekit: variational autoencoders by composition, on PyTorch Lightning and Hydra."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from vaekit.torchvision_operators import declare_on_import

declare_on_import()
__version__ = version("vaekit")
HOMES = {"load": "runs", "Refusal": "refusal"}  # of what does not stand in vaekit.api
__all__ = ["Refusal", "Run", "build", "fit", "load", "open", "train"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import what is used: torch takes seconds, Lightning and Hydra more, and tab completion should wait for none."""
    if name not in __all__:
        raise AttributeError(f"module 'vaekit' has no attribute {name!r}")
    return getattr(import_module(f"vaekit.{HOMES.get(name, 'api')}"), name)
