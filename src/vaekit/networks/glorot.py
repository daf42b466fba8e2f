"""How weights start."""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d
LAYERS = nn.Linear | nn.Conv1d | nn.Conv2d | TRANSPOSED
M = TypeVar("M", bound=nn.Module)
L = TypeVar("L", bound=LAYERS)
START = 32  # nats


def glorot(module: M) -> M:
    """The same module with every linear and convolutional weight drawn as by Glorot and Bengio 2010, biases at zero.

    torch's own start is narrower, which costs a convolutional VAE 6 nats after 3 epochs of 20,000 MNIST images. Of the
    places of a transposed convolution's kernel one in `stride` reaches each value, in each direction: without a factor
    for them what z says fades from stage to stage, and the posterior collapses before the decoder has learned to read.
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
    """The same layer with its weights, as drawn, times `scale`."""
    with torch.no_grad():
        layer.weight.mul_(scale)
    return layer


class Pointwise(nn.Linear):
    """Maps `[..., C, H, W]` -> `[..., out, H, W]`, a linear layer at each place: a 1x1 convolution for any `...`."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(-3, -1)).movedim(-1, -3)


def head(context_shape: tuple[int, ...], loc: int, scales: int = 0, size: int = 1, rest: int = 0) -> nn.Linear:
    """A linear layer from a context to `loc` numbers that start as `glorot` says, `scales` log standard deviations that
    start at `start_scale(size)` for every x, and `rest` that start at zero.

    A context of shape (F,) is a vector; one of shape (C, H, W) a map, whose every place gets its own numbers. size: the
    dimensions of the latent space.

    Scales that differ at random from the start drown latent units in noise before they carry anything: 3 nats on MNIST
    after 6 epochs of an MLP.
    """
    layer = glorot((Pointwise if len(context_shape) == 3 else nn.Linear)(context_shape[0], loc + scales + rest))
    start_scales(layer, slice(loc, loc + scales), size)
    nn.init.zeros_(layer.weight[loc + scales :])
    return layer


def start_scales(layer: nn.Linear, scales: slice, size: int) -> None:
    """Let these outputs of a layer, the log standard deviations of a posterior, be `start_scale(size)` for every x."""
    nn.init.zeros_(layer.weight[scales])
    nn.init.constant_(layer.bias[scales], start_scale(size))


def start_scale(size: int) -> float:
    """The log standard deviation at which a posterior over `size` dimensions starts, beside a prior of 1.

    It costs about `START` nats, at most 0.57 a dimension. A posterior as wide as the prior says nothing that a decoder
    could learn from: it collapses within 20 steps on binarised characters, and often stays so (benchmarks/start.py).
    """
    return -min(1.0, (START / max(size, 1)) ** 0.5)  # a size of 0 is refused elsewhere, by its setting
