"""Activations by name."""

from torch import nn

from vaekit.refusal import Refusal


def activation(name: str) -> nn.Module:
    """The `torch.nn` activation called `name`, e.g. `ReLU`, `Tanh`, `SiLU`. Raises `Refusal` for any other name."""
    kind = getattr(nn.modules.activation, name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise Refusal(f"network.activation={name} is no activation of torch.nn; use ReLU, Tanh, SiLU, GELU, ELU, ...")
    return kind()
