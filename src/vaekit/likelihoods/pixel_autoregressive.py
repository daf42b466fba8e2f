"""Pixels that see z and the pixels before them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.raster import GrayLevels, Raster
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.networks.pixelcnn import PixelCNN
from vaekit.refusal import at_least_one
from vaekit.spaces import Space


class PixelAutoregressive(Likelihood):
    """p(x | z) = prod_i p(x_i | x_1 ... x_i-1, z), a softmax over the grey levels of each value, by a PixelCNN.

    The network gives `width` maps of each channel, which each of the `layers` of the PixelCNN, `width` wide, reads.
    Draws are made value by value; what the mean and the mode of an image are, see `vaekit.distributions.raster.Raster`.
    Where z says little, because the pixels before say enough, its rate falls to 0: a few narrow layers leave z the
    large forms, and so does an objective that warms up.

    References:
        Ishaan Gulrajani et al. PixelVAE: A Latent Variable Model for Natural Images. In ICLR 2017.
            https://arxiv.org/abs/1611.05013
        Aäron van den Oord et al. Conditional Image Generation with PixelCNN Decoders. In NeurIPS 2016.
            https://arxiv.org/abs/1606.05328
    """

    values = frozenset({"binary", "discrete"})
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN})

    def __init__(self, space: Space, network: Callable, width: int = 32, layers: int = 4):
        at_least_one(width=(width, 32), layers=(layers, 4))
        assert space.levels is not None
        super().__init__(space, network, params=width)
        self.pixels = PixelCNN(space.shape[0], space.levels, width * space.shape[0], width, layers)

    def distribution(self, *params: Tensor) -> Distribution:
        maps = torch.stack(params, -4).flatten(-4, -3)
        return Raster(self.pixels, maps, GrayLevels(self.pixels.channels, self.pixels.levels))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: what the maps mean is not known before they are learned."""
        return torch.zeros_like(self.bias)
