"""Densities are computed in single precision or better, whatever precision the networks run in."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """`x` in float32 if autocast left it in half precision, else `x` itself.

    Args:
        x: Any tensor.

    Example:
        >>> import torch
        >>> from vaekit.distributions.precision import full_precision
        >>> full_precision(torch.ones(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
