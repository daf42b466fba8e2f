"""Gray values, each conditioned on z and the values before it."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.raster import GrayLevels, Raster
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.networks.pixelcnn import PixelCNN
from vaekit.refusal import at_least_one
from vaekit.spaces import Space


class PixelAutoregressive(Likelihood):
    """p(x | z) = prod_i p(x_i | x_1 ... x_i-1, z), a softmax over the gray values of each pixel and channel, by a
    PixelCNN.

    The network gives `width` maps for each channel, which each layer of the PixelCNN is conditioned on. Sampling takes
    one pass per value; for the mean and the mode see `vaekit.distributions.raster.Raster`. Where the pixels before are
    informative enough, the rate of z falls to 0: a few narrow layers leave the global structure to z, and so does an
    objective with a warm-up.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        width: Channels of the PixelCNN, and maps for each image channel.
        layers: Layers of the PixelCNN. Each extends the receptive field by a pixel; the first covers 3.

    Raises:
        Refusal: If `width` or `layers` is below 1.

    References:
        Ishaan Gulrajani et al. PixelVAE: A Latent Variable Model for Natural Images. In ICLR 2017.
            https://arxiv.org/abs/1611.05013
        Aäron van den Oord et al. Conditional Image Generation with PixelCNN Decoders. In NeurIPS 2016.
            https://arxiv.org/abs/1606.05328

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.pixel_autoregressive import PixelAutoregressive
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((1, 2, 2), bins=4)
        >>> likelihood = PixelAutoregressive(
        ...     space, lambda params: Decoder((2,), space, params, hidden=[8]), width=4, layers=1
        ... )
        >>> likelihood(torch.zeros(3, 2)).log_prob(torch.zeros(3, 1, 2, 2)).shape
        torch.Size([3])
    """

    values = frozenset({"binary", "discrete"})
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN, Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork, width: int = 32, layers: int = 4):
        at_least_one(width=(width, 32), layers=(layers, 4))
        assert space.bins is not None
        super().__init__(space, network, params=width)
        self.pixelcnn = PixelCNN(space.shape[0], space.bins, width * space.shape[0], width, layers)

    def distribution(self, *params: Tensor) -> Distribution:
        maps = torch.stack(params, -4).flatten(-4, -3)
        return Raster(self.pixelcnn, maps, GrayLevels(self.pixelcnn.channels, self.pixelcnn.bins))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero: before training the maps have no relation to the mean."""
        return torch.zeros_like(self.bias)
