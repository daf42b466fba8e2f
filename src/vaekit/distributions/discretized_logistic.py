"""A logistic distribution on the grey levels 0, 1/(L-1), ..., 1."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from vaekit.entropy_coder import STEP, Code, located, settled


class DiscretizedLogistic(Distribution):
    """Mass of a logistic distribution in the bin around each grey level; the edge bins reach to infinity.

    Salimans et al. 2017 (PixelCNN++, https://arxiv.org/abs/1701.05517), section 2.1, one component.
    loc, scale: `[...]`, in units of the [0, 1] image. levels: L >= 2.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, loc: Tensor, scale: Tensor, levels: int, validate_args: bool | None = False):
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.levels = levels
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        return DiscretizedLogistic(self.loc.expand(batch_shape), self.scale.expand(batch_shape), self.levels)

    def log_prob(self, value: Tensor) -> Tensor:
        half = 0.5 / (self.levels - 1)
        upper = (value + half - self.loc) / self.scale
        lower = (value - half - self.loc) / self.scale
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which never cancels
        below, above = logsigmoid(upper), logsigmoid(-lower)
        inside = below + above + torch.log(-torch.expm1(-2 * half / self.scale))
        return torch.where(value < half, below, torch.where(value > 1 - half, above, inside))

    def sample(self, sample_shape=torch.Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            noise = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device).logit(eps=1e-7)
            return self._to_grid(self.loc + self.scale * noise)

    @property
    def mean(self) -> Tensor:
        """The sum over the L - 1 bin edges of the probability to lie above the edge, divided by L - 1."""
        total = torch.zeros_like(self.loc)
        for k in range(self.levels - 1):
            total += torch.sigmoid((self.loc - (k + 0.5) / (self.levels - 1)) / self.scale)
        return total / (self.levels - 1)

    @property
    def mode(self) -> Tensor:
        """The level nearest to loc, unless the tail gathered in an edge bin weighs more."""
        candidates = torch.stack([self._to_grid(self.loc), torch.zeros_like(self.loc), torch.ones_like(self.loc)])
        best = torch.stack([self.log_prob(c) for c in candidates]).argmax(0, keepdim=True)
        return candidates.gather(0, best).squeeze(0)

    def _to_grid(self, x: Tensor) -> Tensor:
        return (x.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)

    def code(self, alphabet: Any) -> Code:
        return located(torch.sigmoid, self.levels, *in_levels(self.loc, self.scale, self.levels))


def in_levels(loc: Tensor, scale: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Location and scale of a logistic distribution, settled, from units of the [0, 1] image to those of a level."""
    return settled(loc, 2.0**-14) * (levels - 1), settled(scale.log(), STEP).exp() * (levels - 1)
