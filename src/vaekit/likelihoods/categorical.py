"""Gray values with a free probability each."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.categorical_bins import CategoricalBins
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Space


class Categorical(Likelihood):
    """p(x | z): a softmax over the gray values of each pixel and channel (van den Oord et al. 2016, section 3.4).

    The number of gray values is that of the data.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Aäron van den Oord, Nal Kalchbrenner, Koray Kavukcuoglu. Pixel Recurrent Neural Networks. In ICML 2016.
            https://arxiv.org/abs/1601.06759

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.categorical import Categorical
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((1, 2, 2), bins=4)
        >>> likelihood = Categorical(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(1, 2)).log_prob(torch.ones(1, 1, 2, 2))   # 4 log 1/4
        tensor([-5.5452], grad_fn=...)
    """

    values = frozenset({"binary", "discrete"})
    gives = frozenset({Capability.FACTORISED, Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork):
        assert space.bins is not None
        super().__init__(space, network, params=space.bins)

    def distribution(self, *params: Tensor) -> Distribution:
        return CategoricalBins(torch.stack(params, dim=-1))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Zero, for equal probabilities: a mean does not determine them."""
        return torch.zeros_like(self.bias)
