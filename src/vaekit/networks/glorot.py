"""Initialization of weights."""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d
LAYERS = nn.Linear | nn.Conv1d | nn.Conv2d | TRANSPOSED
M = TypeVar("M", bound=nn.Module)
L = TypeVar("L", bound=LAYERS)
INITIAL_RATE = 32  # nats, of a posterior before training


def glorot(module: M) -> M:
    """Initialize every linear and convolutional layer as Glorot and Bengio 2010 do, with biases at zero.

    torch's default is narrower, which costs a convolutional VAE 6 nats after 3 epochs of 20,000 MNIST images. Each
    output of a transposed convolution depends on one in `stride` of the kernel's positions in each direction; its
    weights are scaled up for that, because otherwise the signal of z fades from stage to stage and the posterior
    collapses.

    Args:
        module: Any module; changed in place.

    Returns:
        The same module.

    Example:
        >>> import torch
        >>> from vaekit.networks.glorot import glorot
        >>> layer = glorot(torch.nn.Linear(3, 3))
        >>> layer.bias.tolist(), bool(layer.weight.abs().max() <= 1)
        ([0.0, 0.0, 0.0], True)
    """
    for layer in module.modules():
        if isinstance(layer, LAYERS):
            nn.init.xavier_uniform_(layer.weight)
            if isinstance(layer, TRANSPOSED):
                scaled(layer, math.prod(layer.stride) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def scaled(layer: L, scale: float) -> L:
    """Multiply the weights of a layer by `scale`, in place.

    Args:
        layer: A linear or convolutional layer.
        scale: The factor.

    Returns:
        The same layer.
    """
    with torch.no_grad():
        layer.weight.mul_(scale)
    return layer


class Pointwise(nn.Linear):
    """A linear layer at each position of maps `[..., C, H, W]` -> `[..., out, H, W]`: a 1x1 convolution for any `...`.

    Example:
        >>> import torch
        >>> from vaekit.networks.glorot import Pointwise
        >>> Pointwise(3, 2)(torch.zeros(5, 4, 3, 8, 8)).shape
        torch.Size([5, 4, 2, 8, 8])
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(-3, -1)).movedim(-1, -3)


def head(context_shape: tuple[int, ...], loc: int, scales: int = 0, size: int = 1, rest: int = 0) -> nn.Linear:
    """A linear layer to the parameters of a distribution, initialized so that a posterior starts narrow.

    Scales that start at random add noise to latents before these carry information, which costs 3 nats on MNIST after 6
    epochs of an MLP.

    Args:
        context_shape: Shape of the context: (F,) for a vector, (C, H, W) for a map, each position of which gets its own
            outputs.
        loc: Number of outputs that are initialized as by `glorot`.
        scales: Number of log standard deviations, which start at `initial_log_scale(size)` for every x.
        size: Dimensions of the latent space.
        rest: Number of further outputs, which start at zero.

    Example:
        >>> import torch
        >>> from vaekit.networks.glorot import head
        >>> head((8,), loc=3, scales=3, size=3)(torch.randn(5, 8)).shape
        torch.Size([5, 6])
    """
    layer = glorot((Pointwise if len(context_shape) == 3 else nn.Linear)(context_shape[0], loc + scales + rest))
    set_initial_log_scales(layer, slice(loc, loc + scales), size)
    nn.init.zeros_(layer.weight[loc + scales :])
    return layer


def set_initial_log_scales(layer: nn.Linear, scales: slice, size: int) -> None:
    """Set some outputs of a layer to `initial_log_scale(size)` for every x.

    Args:
        layer: The last layer of a posterior.
        scales: The outputs that are log standard deviations.
        size: Dimensions of the latent space.
    """
    nn.init.zeros_(layer.weight[scales])
    nn.init.constant_(layer.bias[scales], initial_log_scale(size))


def initial_log_scale(size: int) -> float:
    """The initial log standard deviation of a posterior over `size` dimensions, for a prior with standard deviation 1.

    It costs about `INITIAL_RATE` nats, and at most 0.57 nats per dimension. A posterior as wide as the prior carries no
    information that a decoder could learn from: on binarized characters it collapses within 20 steps and often stays
    collapsed (benchmarks/start.py).

    Args:
        size: Dimensions of the latent space.

    Example:
        >>> from vaekit.networks.glorot import initial_log_scale
        >>> initial_log_scale(8), initial_log_scale(128)
        (-1.0, -0.5)
    """
    return -min(1.0, (INITIAL_RATE / max(size, 1)) ** 0.5)  # latents.dim=0 is refused later
