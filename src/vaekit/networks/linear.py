"""Linear layers."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

LARGE = 2**22  # multiplications above which oneDNN is faster, despite 20 microseconds of set-up


class Linear(nn.Linear):
    """torch's linear layer, computed by oneDNN on AMD processors in float32, where MKL is half as fast.

    Example:
        >>> import torch
        >>> from vaekit.networks.linear import Linear
        >>> Linear(3, 2)(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """

    def forward(self, x: Tensor) -> Tensor:
        by_torch = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if not by_torch and mkl_is_slow() and self._is_large_product_in_float32(x):
            # contiguous, because the backward pass of a slice is hundreds of times slower
            return OneDNN.apply(x.contiguous(), self.weight, self.bias)
        return super().forward(x)

    def _is_large_product_in_float32(self, x: Tensor) -> bool:
        in_float32 = x.dtype == self.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return in_float32 and x.device.type == "cpu" and x.dim() == 2 and x.numel() * self.out_features > LARGE


class OneDNN(torch.autograd.Function):
    """x weight^T + bias for x `[N, in]`, weight `[out, in]` and bias `[out]` or None, differentiable any number of
    times.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_x = OneDNN.apply(grad, weight.T, None) if ctx.needs_input_grad[0] else None
        of_weight = OneDNN.apply(grad.T, x.T, None) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, grad.sum(0) if ctx.needs_input_grad[2] else None


@cache
def mkl_is_slow() -> bool:
    """Whether the processor is AMD's with AVX-512, which oneDNN uses and MKL does not."""
    found = torch.cpu.get_capabilities()
    return "AMD" in found["cpu_name"] and bool(found["avx512_f"])
