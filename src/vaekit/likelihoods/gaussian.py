"""Continuous values with a normal distribution each."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood, start_scale
from vaekit.refusal import Refusal, one_of, setting
from vaekit.spaces import Space

START = 0.5  # sigma, where the data are not known
NARROWER = 0.7  # sigma at the start, in standard deviations of the data: z is used sooner than at 1


class Gaussian(Likelihood):
    """p(x | z) = N(mu(z), sigma^2).

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        scale: `fixed` (sigma is `value`), `global` (one learned sigma; Rybkin et al. 2021) or `pixel` (sigma(z) of each
            value).
        value: sigma, or where it starts if it is learned, in units of x; None for a start somewhat below the standard
            deviation of the data.
        floor: Least learned sigma. Below it a density can grow without bound.

    Raises:
        Refusal: If `scale` is unknown, `value` is not above `floor`, or a fixed sigma has no `value`.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114
        (scale=global) Oleh Rybkin, Kostas Daniilidis, Sergey Levine. Simple and Effective VAE Training with Calibrated
            Decoders. In ICML 2021. https://arxiv.org/abs/2006.13202

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.gaussian import Gaussian
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Real
        >>> space = Real((3,))
        >>> likelihood = Gaussian(space, lambda params: Decoder((2,), space, params, hidden=[8]), value=1.0)
        >>> likelihood(torch.zeros(1, 2)).log_prob(torch.zeros(1, 3))   # -3/2 log(2 pi)
        tensor([-2.7568], grad_fn=...)
    """

    values = frozenset({"unit", "continuous"})

    def __init__(
        self,
        space: Space,
        network: BuildNetwork,
        scale: str = "global",
        value: float | None = None,
        floor: float = 1e-3,
    ):
        one_of(scale=(scale, ("fixed", "global", "pixel")))
        if value is None and scale == "fixed":
            raise Refusal(f"{setting('scale')}=fixed needs the value of sigma. Try {setting('value')}=0.5.")
        self.from_data, value = value is None, START if value is None else value
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

    def start_from(self, data: Any) -> None:
        super().start_from(data)
        if self.from_data:
            start_scale(self.bias[1] if self.log_scale is None else self.log_scale, data, NARROWER, self.floor)
