"""Maps of games: one tile in each cell, conditioned on z and the tiles before it."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.raster import OneHot, Raster
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.networks.pixelcnn import PixelCNN
from vaekit.refusal import at_least_one
from vaekit.spaces import Space


class TilesAutoregressive(Likelihood):
    """p(x | z) = prod_i p(x_i | x_1 ... x_i-1, z), a softmax over the tiles of each cell, by a PixelCNN.

    It is conditioned on `maps` maps for each tile, computed from z, on the cells in its receptive field, and on which
    tiles occur anywhere before, so that it can learn to place a single spawn. For the mean and the mode see
    `vaekit.distributions.raster`.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        maps: Number of maps for each tile.
        width: Channels of the PixelCNN.
        layers: Layers of the PixelCNN. Each extends the receptive field by a cell; the first covers 3.

    Raises:
        Refusal: If a number is below 1.

    References:
        Ishaan Gulrajani et al. PixelVAE: A Latent Variable Model for Natural Images. In ICLR 2017.
            https://arxiv.org/abs/1611.05013

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.tiles_autoregressive import TilesAutoregressive
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Levels
        >>> space = Levels((2, 2, 2), tiles={"-": ["free"], "X": ["solid"]})
        >>> likelihood = TilesAutoregressive(
        ...     space, lambda params: Decoder((2,), space, params, hidden=[8]), maps=2, width=4, layers=1
        ... )
        >>> likelihood(torch.zeros(5, 2)).sample().shape
        torch.Size([5, 2, 2, 2])
    """

    values = frozenset({"tiles"})
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN, Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork, maps: int = 4, width: int = 32, layers: int = 4):
        at_least_one(maps=(maps, 4), width=(width, 32), layers=(layers, 4))
        super().__init__(space, network, params=maps)
        tiles = space.shape[0]
        self.pixelcnn = PixelCNN(1, tiles, maps * tiles, width, layers, in_channels=2 * tiles)

    def distribution(self, *params: Tensor) -> Distribution:
        return Raster(self.pixelcnn, torch.stack(params, -4).flatten(-4, -3), OneHot(self.pixelcnn.bins))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: before training the maps have no relation to the mean."""
        return torch.zeros_like(self.bias)
