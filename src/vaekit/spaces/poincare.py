"""Operations on the Poincare ball of curvature -1.

Sums cancel near the boundary, so everything is computed in double precision and returned in the precision of the input.
"""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

EDGE = 1 - 1e-5  # largest norm of a point in single precision


def double(x: Tensor) -> Tensor:
    """A tensor in double precision, where its device has it.

    Args:
        x: A tensor of any shape.
    """
    return x if x.device.type == "mps" else x.double()


def in_double(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A decorator: compute in double precision where the device has it, and return the precision of the first argument.

    Args:
        function: A function of tensors.
    """

    @wraps(function)
    def computed(*tensors: Tensor) -> Tensor:
        return function(*map(double, tensors)).to(tensors[0].dtype)

    return computed


def project(x: Tensor) -> Tensor:
    """Move points that rounding put on the boundary back into the ball.

    Args:
        x: Points `[..., d]`.

    Returns:
        `[..., d]`, with norm at most `EDGE`.

    Example:
        >>> import torch
        >>> from vaekit.spaces import poincare
        >>> poincare.project(torch.tensor([2.0, 0.0]))
        tensor([1.0, 0.0])
    """
    norm = x.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    return torch.where(norm > EDGE, x / norm * EDGE, x)


@in_double
def add(x: Tensor, y: Tensor) -> Tensor:
    """Moebius addition (Ganea et al. 2018, https://arxiv.org/abs/1805.09112, equation 4).

    Args:
        x: Points `[..., d]` of the ball.
        y: Points `[..., d]` of the ball.

    Returns:
        `[..., d]`.

    Example:
        >>> import torch
        >>> from vaekit.spaces import poincare
        >>> poincare.add(torch.tensor([0.5, 0.0]), torch.tensor([0.5, 0.0]))
        tensor([0.8, 0.0])
    """
    xy, xx, yy = ((a * b).sum(-1, keepdim=True) for a, b in ((x, y), (x, x), (y, y)))
    return project(((1 + 2 * xy + yy) * x + (1 - xx) * y) / (1 + 2 * xy + xx * yy).clamp_min(1e-15))


@in_double
def conformal_factor(x: Tensor) -> Tensor:
    """The factor 2 / (1 - |x|^2) between lengths of the ball and Euclidean lengths.

    Args:
        x: Points `[..., d]` of the ball.

    Returns:
        `[..., 1]`.
    """
    return 2 / (1 - x.square().sum(-1, keepdim=True)).clamp_min(1e-15)


@in_double
def exp0(v: Tensor) -> Tensor:
    """The exponential map at the origin: from tangent vectors to points of the ball.

    Args:
        v: Tangent vectors `[..., d]`.

    Returns:
        `[..., d]`.
    """
    norm = v.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    return project(norm.tanh() * v / norm)


@in_double
def exp(x: Tensor, v: Tensor) -> Tensor:
    """The exponential map at x: from tangent vectors to points of the ball.

    Args:
        x: Points `[..., d]` of the ball.
        v: Tangent vectors `[..., d]` at x.

    Returns:
        `[..., d]`.
    """
    norm = v.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    return add(x, (conformal_factor(x) * norm / 2).tanh() * v / norm)


@in_double
def log(x: Tensor, y: Tensor) -> Tensor:
    """The logarithmic map at x: from points of the ball to tangent vectors.

    Args:
        x: Points `[..., d]` of the ball.
        y: Points `[..., d]` of the ball.

    Returns:
        `[..., d]`, tangent vectors at x.

    Example:
        >>> import torch
        >>> from vaekit.spaces import poincare
        >>> x, y = torch.tensor([0.1, 0.2]), torch.tensor([0.5, -0.3])
        >>> poincare.exp(x, poincare.log(x, y))
        tensor([ 0.5, -0.3])
    """
    difference = add(-x, y)
    norm = difference.norm(dim=-1, keepdim=True).clamp(1e-15, EDGE)
    return 2 / conformal_factor(x) * norm.atanh() * difference / norm
