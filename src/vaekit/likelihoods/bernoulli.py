"""Binary values, independent given z."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions import bernoulli
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Space


class Bernoulli(Likelihood):
    """p(x | z) = Bernoulli(sigmoid(network(z))), for values in {0, 1} only (Kingma and Welling 2014, appendix C.1).

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.bernoulli import Bernoulli
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Image
        >>> space = Image((1, 2, 2), bins=2)
        >>> likelihood = Bernoulli(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(1, 2)).log_prob(torch.ones(1, 1, 2, 2))   # 4 log 1/2
        tensor([-2.7726], grad_fn=...)
    """

    values = frozenset({"binary"})
    gives = frozenset({Capability.FACTORISED, Capability.CODED})

    def __init__(self, space: Space, network: BuildNetwork):
        super().__init__(space, network, params=1)

    def distribution(self, *params: Tensor) -> Distribution:
        return bernoulli.Bernoulli(logits=params[0], validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.clamp(0.001, 0.999).logit().unsqueeze(0)
