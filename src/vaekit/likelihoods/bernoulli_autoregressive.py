"""Binary values, each conditioned on z and the values before it."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.bits import Bits
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.networks.made import MADE, causal_mask
from vaekit.refusal import at_least_one
from vaekit.spaces import Maps, Space


class BernoulliAutoregressive(Likelihood):
    """p(x | z) = prod_i Bernoulli(x_i | x_1 ... x_i-1, z) by masked linear layers (MADE), for data of any shape.

    The network gives each value a logit, as with `likelihood=bernoulli`, and a number for each hidden layer; training
    starts close to that likelihood. Each of the `layers` + 1 matrices has a weight for every pair of values; of an
    image, only pairs within the receptive field are used. Where the values before are informative enough, the rate of z
    falls to 0, as on 8x8 digits. For the mean and the mode see `vaekit.distributions.bits.Bits`.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.
        layers: Number of hidden layers, each with one unit per value.
        radius: How many rows up and columns to each side a layer of an image sees; other data are not limited.

    Raises:
        Refusal: If `layers` or `radius` is below 1.

    References:
        Mathieu Germain et al. MADE: Masked Autoencoder for Distribution Estimation. In ICML 2015.
            https://arxiv.org/abs/1502.03509
        Karol Gregor et al. Deep AutoRegressive Networks. In ICML 2014. https://arxiv.org/abs/1310.8499

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.bernoulli_autoregressive import BernoulliAutoregressive
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((1, 2, 2), bins=2)
        >>> likelihood = BernoulliAutoregressive(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(3, 2)).log_prob(torch.zeros(3, 1, 2, 2)).shape
        torch.Size([3])
    """

    values = frozenset({"binary"})
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN, Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork, layers: int = 1, radius: int = 4):
        at_least_one(layers=(layers, 1), radius=(radius, 4))
        super().__init__(space, network, params=layers + 1)
        self.made = MADE(causal_mask(space.shape, radius if isinstance(space, Maps) else None), layers)

    def distribution(self, *params: Tensor) -> Distribution:
        lead = params[0].shape[: params[0].dim() - len(self.space.shape)]
        return Bits(self.made, list(params), lead, torch.Size(self.space.shape))

    def bias_at(self, mean: Tensor) -> Tensor:
        """The bias of the logits; that of the hidden layers starts at zero."""
        logits = mean.clamp(0.001, 0.999).logit().unsqueeze(0)
        return torch.cat([torch.zeros_like(self.bias[1:]), logits])
