"""Activation functions by name."""

from torch import nn
from torch.nn.modules import activation as activations

from vaekit.refusal import Refusal, setting


def activation(name: str) -> nn.Module:
    """The activation of `torch.nn` called `name`.

    Args:
        name: The class's name, e.g. `ReLU`, `Tanh`, `SiLU`.

    Raises:
        Refusal: If torch.nn has no activation of this name.

    Example:
        >>> from vaekit.networks.activation import activation
        >>> activation("SiLU")
        SiLU()
    """
    if name not in activations.__all__:
        key = setting("activation")
        raise Refusal(f"{key}={name} is not an activation of torch.nn; use ReLU, Tanh, SiLU, GELU, ELU, ...")
    return getattr(activations, name)()
