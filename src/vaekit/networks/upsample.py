"""Nearest-neighbor upsampling."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def upsample(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """x `[N, C, h, w]` -> `[N, C, *size]`, each value that of the nearest position.

    Args:
        x: Maps.
        size: The new height and width.

    Example:
        >>> import torch
        >>> from vaekit.networks.upsample import upsample
        >>> upsample(torch.tensor([[[[1.0, 2.0]]]]), (1, 4))
        tensor([[[[1., 1., 2., 2.]]]])
    """
    if not torch.compiler.is_compiling():
        return functional.interpolate(x, size=size, mode="nearest")
    # by indices, because in bfloat16 torch 2.13 compiles the gradient of interpolate to zeros
    rows, columns = (torch.arange(out, device=x.device) * n // out for out, n in zip(size, x.shape[-2:], strict=True))
    return x[..., rows, :][..., columns]


class Upsample(nn.Module):
    """`upsample` as a layer.

    Args:
        size: The new height and width.

    Example:
        >>> import torch
        >>> from vaekit.networks.upsample import Upsample
        >>> Upsample((4, 4))(torch.zeros(1, 3, 2, 2)).shape
        torch.Size([1, 3, 4, 4])
    """

    def __init__(self, size: tuple[int, ...]):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return upsample(x, self.size)
