"""Tiles that see z and the tiles before them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.raster import OneHot, Raster
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.networks.pixelcnn import PixelCNN
from vaekit.refusal import at_least_one
from vaekit.spaces import Space


class TilesAutoregressive(Likelihood):
    """p(x | z) = prod_i p(x_i | x_1 ... x_i-1, z), a softmax over the tiles of each cell, by a PixelCNN.

    It reads `maps` maps for each tile of what the network makes of z, the cells within its reach, and which tiles stand
    anywhere before, so that it can learn to place a single spawn. width, layers: as of
    `vaekit.likelihoods.pixel_autoregressive`; what a mean and a mode are: `vaekit.distributions.raster`.

    References:
        Ishaan Gulrajani et al. PixelVAE: A Latent Variable Model for Natural Images. In ICLR 2017.
            https://arxiv.org/abs/1611.05013
    """

    values = frozenset({"tiles"})
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN})

    def __init__(self, space: Space, network: Callable, maps: int = 4, width: int = 32, layers: int = 4):
        at_least_one(maps=(maps, 4), width=(width, 32), layers=(layers, 4))
        super().__init__(space, network, params=maps)
        tiles = space.shape[0]
        self.cells = PixelCNN(1, tiles, maps * tiles, width, layers, inputs=2 * tiles)

    def distribution(self, *params: Tensor) -> Distribution:
        return Raster(self.cells, torch.stack(params, -4).flatten(-4, -3), OneHot(self.cells.levels))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: what the maps mean is not known before they are learned."""
        return torch.zeros_like(self.bias)
