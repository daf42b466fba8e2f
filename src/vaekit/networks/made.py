"""Masked linear layers: each value is conditioned on the values before it, in the order of memory.

References:
    Mathieu Germain et al. MADE: Masked Autoencoder for Distribution Estimation. In ICML 2015.
        https://arxiv.org/abs/1502.03509
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def causal_mask(shape: tuple[int, ...], receptive_field: int | None = None) -> Tensor:
    """Which values each value is conditioned on, `[D, D]`: those before it.

    Args:
        shape: Shape of an example, of D values.
        receptive_field: Of maps `[C, H, W]`: only values at most this many rows and columns away, in all channels; None
            for all values before.

    Example:
        >>> from vaekit.networks.made import causal_mask
        >>> causal_mask((3,)).int()
        tensor([[0, 0, 0],
                [1, 0, 0],
                [1, 1, 0]], dtype=torch.int32)
    """
    size = torch.Size(shape).numel()
    mask = torch.ones(size, size, dtype=torch.bool).tril(-1)
    if receptive_field is None:
        return mask
    positions = torch.cartesian_prod(*(torch.arange(n) for n in shape))[:, 1:]
    return mask & ((positions.unsqueeze(1) - positions).abs().amax(-1) <= receptive_field)


class MaskedLinear(nn.Module):
    """x `[..., D]` -> `[..., D]`, a linear layer whose weights outside a mask are zero.

    Args:
        mask: `[D, D]`: which inputs each output depends on.

    Example:
        >>> import torch
        >>> from vaekit.networks.made import MaskedLinear, causal_mask
        >>> MaskedLinear(causal_mask((3,)))(torch.ones(3))[0].item()  # no value before it
        0.0
    """

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(
            0.1 * torch.randn(mask.shape) / len(mask) ** 0.5
        )  # small, so that logits start close to the context

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.mask)

    def step(self, i: int, x: Tensor) -> Tensor:
        """The i-th output, `[...]`."""
        return x @ (self.weight[i] * self.mask[i])


class MADE(nn.Module):
    """Binary values x `[..., D]` and a context of 1 + `layers` tensors `[..., D]` -> logits `[..., D]`.

    A hidden layer has one unit per value, to which the context adds a number. The last tensor of the context is added
    to the logits, which are close to it at the start. x may have fewer dimensions than the context: many draws of z
    for one x.

    Args:
        mask: `[D, D]`: which values, all before it, each value is conditioned on.
        layers: Number of hidden layers.

    Example:
        >>> import torch
        >>> from vaekit.networks.made import MADE, causal_mask
        >>> made = MADE(causal_mask((4,)), layers=1)
        >>> made(torch.ones(5, 4), [torch.zeros(5, 4), torch.zeros(5, 4)]).shape
        torch.Size([5, 4])
    """

    hidden: Any  # of `MaskedLinear`

    def __init__(self, mask: Tensor, layers: int):
        super().__init__()
        self.layers = layers
        self.first, self.direct = MaskedLinear(mask), MaskedLinear(mask)
        self.hidden = nn.ModuleList(MaskedLinear(mask | torch.eye(len(mask), dtype=torch.bool)) for _ in range(layers))

    def forward(self, x: Tensor, context: list[Tensor]) -> Tensor:
        x = 2 * x - 1
        h, (*numbers, logits) = self.first(x), context
        for number, layer in zip(numbers, self.hidden, strict=True):
            h = layer(functional.silu(h + number))
        return h + self.direct(x) + logits

    def step(self, i: int, x: Tensor, context: list[Tensor], hidden_units: Tensor) -> Tensor:
        """The i-th logit, `[N]`, given the values before it; `hidden_units` `[layers, N, D]` caches those of earlier
        values.
        """
        x = 2 * x - 1
        h, (*numbers, logits) = self.first.step(i, x), context
        for number, layer, here in zip(numbers, self.hidden, hidden_units, strict=True):
            here[:, i] = functional.silu(h + number[:, i])
            h = layer.step(i, here)
        return h + self.direct.step(i, x) + logits[:, i]
