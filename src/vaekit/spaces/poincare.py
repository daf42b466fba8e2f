"""The geometry of the Poincare ball of curvature -1.

Near the ball's edge sums cancel: everything is computed in double precision, and returned in the precision given.
"""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

EDGE = 1 - 1e-5  # points are kept this far inside the ball, where single precision still has room


def double(x: Tensor) -> Tensor:
    return x if x.device.type == "mps" else x.double()


def in_double(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function` of tensors, computed in double precision where the device has it, in the precision of the first."""

    @wraps(function)
    def computed(*tensors: Tensor) -> Tensor:
        return function(*map(double, tensors)).to(tensors[0].dtype)

    return computed


def inside(x: Tensor) -> Tensor:
    """`x` `[..., d]`, drawn back into the ball if rounding put it on its edge."""
    norm = x.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    return torch.where(norm > EDGE, x / norm * EDGE, x)


@in_double
def add(x: Tensor, y: Tensor) -> Tensor:
    """Moebius addition (Ganea et al. 2018, https://arxiv.org/abs/1805.09112, equation 4)."""
    xy, xx, yy = ((a * b).sum(-1, keepdim=True) for a, b in ((x, y), (x, x), (y, y)))
    return inside(((1 + 2 * xy + yy) * x + (1 - xx) * y) / (1 + 2 * xy + xx * yy).clamp_min(1e-15))


@in_double
def conformal(x: Tensor) -> Tensor:
    """The factor 2 / (1 - |x|^2), `[..., 1]`, by which the ball's lengths exceed Euclid's."""
    return 2 / (1 - x.square().sum(-1, keepdim=True)).clamp_min(1e-15)


@in_double
def exp0(v: Tensor) -> Tensor:
    """From the tangent space at the origin onto the ball."""
    norm = v.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    return inside(norm.tanh() * v / norm)


@in_double
def exp(x: Tensor, v: Tensor) -> Tensor:
    """From the tangent space at x onto the ball."""
    norm = v.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    return add(x, (conformal(x) * norm / 2).tanh() * v / norm)


@in_double
def log(x: Tensor, y: Tensor) -> Tensor:
    """From the ball to the tangent space at x."""
    way = add(-x, y)
    norm = way.norm(dim=-1, keepdim=True).clamp(1e-15, EDGE)
    return 2 / conformal(x) * norm.atanh() * way / norm
