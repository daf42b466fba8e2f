"""The planar transformation."""

import math

import torch
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.nn.functional import softplus

UNIT = math.log(math.e - 1)  # softplus(UNIT) = 1, so that u = 0 is the identity


class Planar(Transform):
    """y = x + u tanh(w . x + b), an invertible transformation of R^d.

    Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770, equation 10, with u corrected as in their appendix so
    that it is invertible. The inverse is found by bisection of one number.

    Args:
        u: `[..., d]`; 0 gives the identity.
        w: `[..., d]`.
        b: `[...]`.

    Example:
        >>> import torch
        >>> from vaekit.distributions.planar import Planar
        >>> t, x = Planar(torch.ones(3), torch.ones(3), torch.tensor(0.0)), torch.tensor([0.1, 0.2, 0.3])
        >>> torch.allclose(t.inv(t(x)), x, atol=1e-5)
        True
    """

    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self, u: Tensor, w: Tensor, b: Tensor):
        super().__init__()
        along = (w * u).sum(-1, keepdim=True)
        self.u = u + (softplus(along + UNIT) - 1 - along) * w / w.square().sum(-1, keepdim=True).clamp_min(1e-12)
        self.w, self.b = w, b

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = ((self.w * x).sum(-1) + self.b).tanh()
        ladj = torch.log((1 + (1 - h.square()) * (self.w * self.u).sum(-1)).abs().clamp_min(1e-12))
        return x + self.u * h.unsqueeze(-1), ladj

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call_and_ladj(x)[1]

    def _inverse(self, y: Tensor) -> Tensor:
        """With a = w . x: w . y = a + (w . u) tanh(a + b), which rises in a, and x = y - u tanh(a + b)."""
        target, slope = (self.w * y).sum(-1), (self.w * self.u).sum(-1)
        with torch.no_grad():
            low, high = target - slope.abs() - 1, target + slope.abs() + 1
            for _ in range(60):
                middle = (low + high) / 2
                below = middle + slope * (middle + self.b).tanh() < target
                low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            a = (low + high) / 2
        # a Newton step at the solution gives the gradient of the implicit function theorem
        h = (a + self.b).tanh()
        a = a - (a + slope * h - target) / (1 + slope * (1 - h.square())).detach()
        return y - self.u * (a + self.b).tanh().unsqueeze(-1)
