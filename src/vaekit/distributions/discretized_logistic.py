"""A logistic distribution over the gray values 0, 1/(L-1), ..., 1."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid
from torch.types import _size

from vaekit.entropy_coder import STEP, Code, located, rounded


class DiscretizedLogistic(Distribution):
    """The mass of a logistic distribution in the bin around each gray value; the outer bins extend to infinity.

    Salimans et al. 2017 (PixelCNN++, https://arxiv.org/abs/1701.05517), section 2.1, one component.

    Args:
        loc: `[...]`, on the scale of images in [0, 1].
        scale: `[...]`, on the same scale.
        bins: Number L of gray values, at least 2.
        validate_args: As of torch's distributions.

    Example:
        >>> import torch
        >>> from vaekit.distributions.discretized_logistic import DiscretizedLogistic
        >>> p = DiscretizedLogistic(torch.tensor(0.5), torch.tensor(0.1), bins=256)
        >>> p.log_prob(torch.linspace(0, 1, 256)).exp().sum().item()
        1.000
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, loc: Tensor, scale: Tensor, bins: int, validate_args: bool | None = False):
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.bins = bins
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return DiscretizedLogistic(self.loc.expand(batch_shape), self.scale.expand(batch_shape), self.bins)

    def log_prob(self, value: Tensor) -> Tensor:
        half = 0.5 / (self.bins - 1)
        upper = (value + half - self.loc) / self.scale
        lower = (value - half - self.loc) / self.scale
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which never cancels
        below, above = logsigmoid(upper), logsigmoid(-lower)
        inside = below + above + torch.log(-torch.expm1(-2 * half / self.scale))
        return torch.where(value < half, below, torch.where(value > 1 - half, above, inside))

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            noise = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device).logit(eps=1e-7)
            return self._to_grid(self.loc + self.scale * noise)

    @property
    def mean(self) -> Tensor:
        """The sum over the L - 1 bin edges of the probability above the edge, divided by L - 1."""
        total = torch.zeros_like(self.loc)
        for k in range(self.bins - 1):
            total += torch.sigmoid((self.loc - (k + 0.5) / (self.bins - 1)) / self.scale)
        return total / (self.bins - 1)

    @property
    def mode(self) -> Tensor:
        """The gray value nearest to loc, unless the mass of an outer bin is larger."""
        candidates = torch.stack([self._to_grid(self.loc), torch.zeros_like(self.loc), torch.ones_like(self.loc)])
        best = torch.stack([self.log_prob(c) for c in candidates]).argmax(0, keepdim=True)
        return candidates.gather(0, best).squeeze(0)

    def _to_grid(self, x: Tensor) -> Tensor:
        return (x.clamp(0, 1) * (self.bins - 1)).round() / (self.bins - 1)

    def code(self, alphabet: Any) -> Code:
        return located(torch.sigmoid, self.bins, *in_bins(self.loc, self.scale, self.bins))


def in_bins(loc: Tensor, scale: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Location and scale of a logistic distribution, rounded for coding, in units of a bin instead of the [0, 1] image.

    Args:
        loc: On the scale of images in [0, 1].
        scale: On the same scale.
        bins: Number L of gray values.
    """
    return rounded(loc, 2.0**-14) * (bins - 1), rounded(scale.log(), STEP).exp() * (bins - 1)
