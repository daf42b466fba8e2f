"""vaekit: variational autoencoders by composition, on PyTorch Lightning and Hydra."""

from importlib.metadata import version

from vaekit.torchvision_operators import declare_on_import

declare_on_import()
__version__ = version("vaekit")
__all__ = ["load"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str):
    if name == "load":  # imported on use: torch takes seconds, tab completion should not
        from vaekit.runs import load

        return load
    raise AttributeError(f"module 'vaekit' has no attribute {name!r}")
