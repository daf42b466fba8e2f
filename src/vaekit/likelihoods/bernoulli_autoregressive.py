"""Binary values that see z and the values before them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.bits import Bits
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.networks.made import MADE, before
from vaekit.refusal import at_least_one
from vaekit.spaces import Maps, Space


class BernoulliAutoregressive(Likelihood):
    """p(x | z) = prod_i Bernoulli(x_i | x_1 ... x_i-1, z), by masked matrices, for data of any shape.

    Of z each value is told its logit, as with `likelihood=bernoulli`, and a number in each of the hidden `layers`;
    training starts close to that likelihood. Each of the 2 + layers matrices has a weight for every pair of values; of
    those of an image it uses the pairs that are no more than `reach` rows and columns apart, and all of other data.
    Where z says little, because the values before say enough, its rate falls to 0, as on digits of 8x8. What a mean and
    a mode are: `vaekit.distributions.bits.Bits`.

    References:
        Mathieu Germain et al. MADE: Masked Autoencoder for Distribution Estimation. In ICML 2015.
            https://arxiv.org/abs/1502.03509
        Karol Gregor et al. Deep AutoRegressive Networks. In ICML 2014. https://arxiv.org/abs/1310.8499
    """

    values = frozenset({"binary"})
    gives = frozenset({Capability.AUTOREGRESSIVE, Capability.GIVEN})

    def __init__(self, space: Space, network: Callable, layers: int = 1, reach: int = 4):
        at_least_one(layers=(layers, 1), reach=(reach, 4))
        super().__init__(space, network, params=layers + 1)
        self.made = MADE(before(space.shape, reach if isinstance(space, Maps) else None), layers)

    def distribution(self, *params: Tensor) -> Distribution:
        lead = params[0].shape[: params[0].dim() - len(self.space.shape)]
        return Bits(self.made, list(params), lead, torch.Size(self.space.shape))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Of the logits; what hidden units are told starts at zero."""
        logits = mean.clamp(0.001, 0.999).logit().unsqueeze(0)
        return torch.cat([torch.zeros_like(self.bias[1:]), logits])
