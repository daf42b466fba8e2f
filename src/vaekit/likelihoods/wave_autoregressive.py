"""Waveforms: each sample conditioned on z and the samples before it."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.raster import GrayLevels
from vaekit.distributions.wave import Wave
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.networks.wavenet import WaveNet
from vaekit.refusal import at_least_one
from vaekit.spaces import Audio, Space


class WaveAutoregressive(Likelihood):
    """p(x | z) = prod_t p(x_t | x_1 ... x_t-1, z), a softmax over the mu-law values of each sample, by a WaveNet.

    The network gives `maps` numbers for each sample, which each layer of the WaveNet is conditioned on. A sample
    depends on the 2^layers before it, and sampling takes one pass per sample; for the mean and the mode see
    `vaekit.distributions.raster.Raster`. Pitch and phase follow from the samples before, which leaves content and
    speaker to z; where z carries little, its rate falls to 0, which a warm-up or free bits prevent.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        maps: Numbers for each sample, computed from z.
        width: Channels of the WaveNet.
        layers: Layers of the WaveNet; the receptive field is 2^layers samples.

    Raises:
        Refusal: If a number is below 1.

    References:
        Aäron van den Oord et al. WaveNet: A Generative Model for Raw Audio. arXiv 2016.
            https://arxiv.org/abs/1609.03499

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.wave_autoregressive import WaveAutoregressive
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Audio
        >>> space = Audio((1, 1, 16), bins=8)
        >>> likelihood = WaveAutoregressive(
        ...     space, lambda params: Decoder((2,), space, params, hidden=[8]), maps=2, width=4, layers=2
        ... )
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 1, 1, 16)).shape
        torch.Size([5])
    """

    values = frozenset({"discrete"})
    reads = Audio
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN, Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork, maps: int = 16, width: int = 32, layers: int = 10):
        at_least_one(maps=(maps, 16), width=(width, 32), layers=(layers, 10))
        assert isinstance(space, Audio) and space.bins is not None
        super().__init__(space, network, params=maps)
        self.wavenet, self.symbols = WaveNet(space.bins, maps, width, layers), GrayLevels(1, space.bins)

    def distribution(self, *params: Tensor) -> Distribution:
        return Wave(self.wavenet, torch.stack(params, -4).squeeze(-3), self.symbols)

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: before training the maps have no relation to the mean."""
        return torch.zeros_like(self.bias)
