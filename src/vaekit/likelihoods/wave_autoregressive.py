"""Samples of sound that see z and the samples before them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.raster import GrayLevels
from vaekit.distributions.wave import Wave
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.networks.wavenet import WaveNet
from vaekit.refusal import at_least_one
from vaekit.spaces import Audio, Space


class WaveAutoregressive(Likelihood):
    """p(x | z) = prod_t p(x_t | x_1 ... x_t-1, z), a softmax over the mu-law levels of each sample, by a WaveNet.

    The network gives `maps` numbers a sample, which each of the `layers` of the WaveNet, `width` wide, reads; a sample
    sees the 2**layers before it. Draws are made sample by sample; what a mean and a mode are, see
    `vaekit.distributions.raster.Raster`. Pitch and phase follow from the samples before, so that z is left with what
    is said, and how; where it says little, its rate falls to 0: an objective that warms up, or free bits, are for that.

    References:
        Aäron van den Oord et al. WaveNet: A Generative Model for Raw Audio. arXiv 2016.
            https://arxiv.org/abs/1609.03499
    """

    values = frozenset({"discrete"})
    reads = Audio
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN})

    def __init__(self, space: Space, network: Callable, maps: int = 16, width: int = 32, layers: int = 10):
        at_least_one(maps=(maps, 16), width=(width, 32), layers=(layers, 10))
        assert isinstance(space, Audio) and space.levels is not None
        super().__init__(space, network, params=maps)
        self.samples, self.symbols = WaveNet(space.levels, maps, width, layers), GrayLevels(1, space.levels)

    def distribution(self, *params: Tensor) -> Distribution:
        return Wave(self.samples, torch.stack(params, -4).squeeze(-3), self.symbols)

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: what the maps mean is not known before they are learned."""
        return torch.zeros_like(self.bias)
