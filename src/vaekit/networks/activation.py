"""Activations by name."""

from torch import nn
from torch.nn.modules import activation as activations

from vaekit.refusal import Refusal, setting


def activation(name: str) -> nn.Module:
    """The `torch.nn` activation called `name`, e.g. `ReLU`, `Tanh`, `SiLU`. Raises `Refusal` for any other name."""
    if name not in activations.__all__:
        key = setting("activation")
        raise Refusal(f"{key}={name} is not an activation of torch.nn; use ReLU, Tanh, SiLU, GELU, ELU, ...")
    return getattr(activations, name)()
