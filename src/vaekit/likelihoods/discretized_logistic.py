"""Gray values by a discretized logistic distribution."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions import discretized_logistic
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Space


class DiscretizedLogistic(Likelihood):
    """p(x | z): a logistic distribution, its location and scale from the network, integrated over the bin of each gray
    value.

    Salimans et al. 2017, equation 2 with one component. The number of gray values is that of the data. The scale starts
    at a tenth of the range.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Tim Salimans et al. PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
            Modifications. In ICLR 2017. https://arxiv.org/abs/1701.05517

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.discretized_logistic import DiscretizedLogistic
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((1, 2, 2), bins=256)
        >>> likelihood = DiscretizedLogistic(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(3, 2)).log_prob(torch.zeros(3, 1, 2, 2)).shape
        torch.Size([3])
    """

    values = frozenset({"binary", "discrete"})
    gives = frozenset({Capability.FACTORISED, Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork):
        super().__init__(space, network, params=2)
        assert space.bins is not None
        self.bins = space.bins

    def distribution(self, *params: Tensor) -> Distribution:
        loc, log_scale = params
        scale = log_scale.clamp(-7.0, 5.0).exp()  # beyond, a bin's mass is 0 or 1 in single precision
        return discretized_logistic.DiscretizedLogistic(loc, scale, self.bins)

    def bias_at(self, mean: Tensor) -> Tensor:
        return torch.stack([mean, torch.full_like(mean, math.log(0.1))])
