"""Densities are computed in single precision or better, whatever precision the networks run in."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """`x` in float32 if autocast left it in a half precision, else `x` itself."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
