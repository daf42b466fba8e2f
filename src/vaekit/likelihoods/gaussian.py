"""Continuous values, normally distributed."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from vaekit.likelihoods.likelihood import Likelihood
from vaekit.refusal import Refusal, one_of, setting
from vaekit.spaces import Space


class Gaussian(Likelihood):
    """p(x | z) = N(mu(z), sigma^2).

    scale: `fixed` (sigma = value), `global` (one learned sigma, which starts at value; Rybkin et al. 2021) or `pixel`
    (sigma(z) per value, which starts at value). A learned sigma stays above `floor`, below which a density can grow
    without bound.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114
        (scale=global) Oleh Rybkin, Kostas Daniilidis, Sergey Levine. Simple and Effective VAE Training with Calibrated
            Decoders. In ICML 2021. https://arxiv.org/abs/2006.13202
    """

    values = frozenset({"unit", "continuous"})

    def __init__(self, space: Space, network: Callable, scale: str = "global", value: float = 1.0, floor: float = 1e-3):
        one_of(scale=(scale, ("fixed", "global", "pixel")))
        if value <= floor:
            raise Refusal(f"{setting('value')}={value} must lie above the floor {floor}; use {setting('value')}=0.1.")
        super().__init__(space, network, params=2 if scale == "pixel" else 1)
        self.scale, self.value, self.floor = scale, value, floor
        self.log_scale = nn.Parameter(torch.tensor(math.log(value - floor))) if scale == "global" else None

    def distribution(self, *params: Tensor) -> Distribution:
        loc = params[0]
        if self.log_scale is not None:
            sigma = self.log_scale.exp() + self.floor
        elif self.scale == "pixel":
            sigma = params[1].exp() + self.floor
        else:
            sigma = loc.new_tensor(self.value)
        return Normal(loc, sigma.expand_as(loc), validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        log_scale = torch.full_like(mean, math.log(self.value - self.floor))
        return torch.stack([mean, log_scale]) if self.scale == "pixel" else mean.unsqueeze(0)
